from threading import Event, Thread

import pytest

from django_workflows import wiring
from django_workflows.workers import Worker
from tests.crash.servers import wait_until


@pytest.fixture
def polling(settings):
    """Workers that claim from a store in this process."""
    settings.WORKFLOWS = {
        "STORE": {"BACKEND": "django_workflows.stores.memory.MemoryStore", "OPTIONS": {}},
        "ADAPTER": {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"},
        "SWEEP_INTERVAL": 0.1,
    }
    return wiring.store()


@pytest.fixture
def working(monkeypatch):
    """Start workers in threads of this process: ``working(threads=2)``; they stop at the end."""
    stopping = Event()
    monkeypatch.setattr(wiring, "stopping", stopping)
    threads = []

    def start(**options):
        thread = Thread(target=Worker(stopping=stopping, **options).run)
        thread.start()
        threads.append(thread)
        return stopping

    def end():
        # Each of them sets ``stopping`` once more when it ends.
        stopping.set()
        for thread in threads:
            thread.join(20)
            assert not thread.is_alive()

    start.stop, start.end = stopping.set, end
    yield start
    end()


@pytest.fixture
def eventually():
    """Wait until a condition holds."""
    return lambda condition, what="it", seconds=20: wait_until(condition, what, seconds)
