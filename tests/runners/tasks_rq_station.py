"""TasksAdapter with RQ's backend."""

from contextlib import contextmanager
from threading import Event, Thread

from django.db import connections

from django_workflows.runners.rq.worker import new_worker
from tests.runners.contract.station import LONG
from tests.runners.rq_station import QUEUE, RqStation
from tests.runners.tasks_station import TASK


class TasksRqStation(RqStation):
    """Jobs are RQ's, but call a task."""

    adapter = {
        "BACKEND": "django_workflows.runners.tasks.TasksAdapter",
        "OPTIONS": {"backend": "redis", "queue": QUEUE},
    }
    function = TASK

    @contextmanager
    def worker(self, queue):
        stopping = Event()
        thread = Thread(target=_serve, args=(queue, stopping))
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join(LONG)
            assert not thread.is_alive()


def _serve(queue, stopping):
    try:
        new_worker([queue]).serve(stopping, bool)
    finally:
        connections.close_all()
