"""Workers of adapters that have one of their own, in a thread of the test."""

from contextlib import contextmanager
from threading import Event, Thread

from django.db import connections

from django_workflows import wiring
from django_workflows.workers import Worker
from tests.runners.contract.station import LONG


@contextmanager
def working(*queues, threads=1):
    """Let the adapter's worker work on ``queues`` while the block runs."""
    stopping = Event()
    hands = Worker(queues=queues, threads=threads, stopping=stopping)
    thread = Thread(target=_work, args=(hands,))
    thread.start()
    try:
        yield thread
    finally:
        stopping.set()
        thread.join(LONG)
        assert not thread.is_alive()


def _work(hands):
    try:
        wiring.adapter().work(hands)
    finally:
        connections.close_all()
