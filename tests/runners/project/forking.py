"""Dispatches, forks, and dispatches in both; the broker's URL and the queue are its arguments."""

import os
import sys

import django


def main(url, queue):
    from celery import Celery

    from django_workflows.runners.celery import CeleryAdapter
    from tests.factories import ExecutionFactory

    Celery("forking", broker=url).set_current()
    adapter = CeleryAdapter(print, queue=queue)
    adapter.dispatch(ExecutionFactory(id="before"))
    child = os.fork()
    if not child:
        adapter.dispatch(ExecutionFactory(id="child"))
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
    adapter.dispatch(ExecutionFactory(id="after"))


if __name__ == "__main__":
    django.setup()
    main(*sys.argv[1:])
