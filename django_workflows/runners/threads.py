"""Threads that know about Django's database connections."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Condition, Thread, local
from time import monotonic
from typing import Generic, TypeVar

from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLiteWrapper

from django_workflows.core.engine.threads import Threads
from django_workflows.stores.orm.connection import close_if_dead, is_quiet

T = TypeVar("T")

#: For how many of its threads, one in so many, a crew waits; and how long, in seconds.
GATHERED, GATHERING = 4, 0.005

logger = logging.getLogger("django_workflows")

#: Seconds for which a worker keeps a connection that Django would close after each request.
KEPT = 60.0

#: Seconds for which a connection that answered is taken to be there.
IDLE = 1.0

_asked = local()  # when each thread last asked: connections are a thread's own


class DjangoThreads(Threads):
    """
    Each thread has connections of its own, closed when it is done.

    Inside a transaction (a TestCase's), or on an SQLite database in memory, another thread would
    not see what this one sees: there branches run in turn, and timeouts are noticed at the end.
    """

    def allowed(self) -> bool:
        """See Threads.allowed()."""
        return not any(
            connection.in_atomic_block
            or (isinstance(connection, SQLiteWrapper) and connection.is_in_memory_db())
            for connection in connections.all(initialized_only=True)
        )

    def clean_up(self) -> None:
        """See Threads.clean_up()."""
        connections.close_all()


def fresh_connections() -> None:
    """
    Close this thread's connections that are too old, or that the server has closed meanwhile.

    What Django does at the ends of a request, a worker must do before each run: no step should
    meet a connection that died while nobody used it. Where CONN_MAX_AGE is 0, as by default, one is
    kept for KEPT seconds all the same: to open it takes longer than most runs. A server that has
    hung up is noticed without asking it; asked it is once in IDLE seconds, as it may have vanished.
    """
    now = monotonic()
    is_idle = now - getattr(_asked, "at", 0.0) > IDLE
    if is_idle:
        _asked.at = now
    for connection in connections.all(initialized_only=True):
        due = connection.close_at
        if due is not None and not connection.settings_dict["CONN_MAX_AGE"]:
            connection.close_at = due + KEPT
        connection.close_if_unusable_or_obsolete()
        connection.close_at = due  # which connecting sets anew
        if is_idle or not is_quiet(connection):
            close_if_dead(connection)


class Crew(Generic[T]):
    """
    Some threads that do one kind of work, each with database connections of its own.

    What ``work`` raises is logged.
    """

    def __init__(self, size: int, work: Callable[[T], object]) -> None:
        self._work = work
        self._jobs: SimpleQueue[list[T]] = SimpleQueue()
        self._free = size
        self._changed = Condition()
        self._threads = [
            Thread(target=self._run, name=f"workflow-worker-{number}", daemon=True)
            for number in range(size)
        ]
        for thread in self._threads:
            thread.start()

    def wait_for_free(self, timeout: float) -> int:
        """
        Return how many threads are free; wait at most ``timeout`` seconds for the first.

        And GATHERING for some more, for whom to find work takes no longer than for one.
        """
        some = -(-len(self._threads) // GATHERED)
        with self._changed:
            self._changed.wait_for(lambda: self._free > 0, timeout)
            if self._free:
                self._changed.wait_for(lambda: self._free >= some, GATHERING)
            return self._free

    def submit(self, job: T) -> None:
        """Have a free thread do ``job``."""
        with self._changed:
            self._free -= 1
        self._jobs.put([job])

    def close(self) -> None:
        """Wait until all work is done, and end the threads."""
        for _ in self._threads:
            self._jobs.put([])
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        try:
            while job := self._jobs.get():
                self._do(*job)
        finally:
            connections.close_all()

    def _do(self, job: T) -> None:
        try:
            self._work(job)
        except BaseException:
            # SystemExit, too: in a thread it would end just that, and nobody be told.
            logger.exception("A thread of this worker could not do its work")
        finally:
            with self._changed:
                self._free += 1
                self._changed.notify()
