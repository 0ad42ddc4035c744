"""No broker: workers claim what is pending from the store itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from inspect import signature
from threading import Event
from time import monotonic
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.utils.connection import ConnectionDoesNotExist

from django_workflows.core.execution import Execution
from django_workflows.exceptions import StoreUnavailable
from django_workflows.runners.base import Adapter, Hands, Ringable
from django_workflows.runners.threads import Crew, fresh_connections

logger = logging.getLogger("django_workflows")

#: The channel on which PostgreSQL carries the bell; its payload is the queue.
CHANNEL = "django_workflows"

#: Seconds between two looks at the store: at first, and at most where no bell rings.
SHORTEST_POLL, LONGEST_POLL = 0.05, 1.0

#: The longest, in seconds, where PostgreSQL rings: only what a broken connection swallows waits.
LONGEST_WITH_BELL = 5.0

#: How often a waiting worker looks whether it is to stop, in seconds.
HEED = 0.5


class DatabaseAdapter(Adapter):
    """
    Let workers claim what is pending straight from the store.

    On PostgreSQL with psycopg 3.2 or later they are woken by NOTIFY on the database ``using`` (an
    alias of ``settings.DATABASES``); elsewhere they look again and again, less often while nothing
    comes. Executions that name no queue are on the queue ``queue``.
    """

    polls = True

    def __init__(
        self,
        drive: Callable[[str], object],
        *,
        using: str = DEFAULT_DB_ALIAS,
        queue: str = "default",
    ) -> None:
        super().__init__(drive, using=using, queue=queue)
        self.using = using

    def problems(self) -> Iterator[str]:
        """See Adapter.problems()."""
        try:
            connections[self.using]
        except ConnectionDoesNotExist:
            yield f"OPTIONS['using'] is {self.using!r}, which settings.DATABASES does not have."

    def dispatch(self, execution: Ringable) -> None:
        """See Adapter.dispatch(). Without PostgreSQL there is no bell."""
        connection = connections[self.using]
        if connection.vendor != "postgresql":
            return
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, self.queue_of(execution)])

    def work(self, hands: Hands) -> None:
        """See Adapter.work()."""
        bell = Bell(self.using, hands.stopping)
        crew = Crew(hands.threads, hands.drive)
        try:
            self._claim(hands, crew, bell)
        finally:
            crew.close()
            bell.close()

    def _claim(self, hands: Hands, crew: Crew[Execution], bell: Bell) -> None:
        pause, is_away = SHORTEST_POLL, False
        while not hands.stopping.is_set():
            free = crew.wait_for_free(HEED)
            if not free:
                continue
            bell.hear()  # what rings from here on is looked for once more
            try:
                fresh_connections()
                claimed = hands.claim(free)
            except StoreUnavailable as error:
                if not is_away:
                    logger.warning("This worker finds no work: %s", error)
                is_away = True
                hands.stopping.wait(min(pause, LONGEST_POLL))
                pause *= 2
                continue
            if is_away:
                logger.warning("This worker has its store back")
                is_away = False
            for execution in claimed:
                crew.submit(execution)
            is_busy = bool(claimed) or bell.wait(pause)
            pause = SHORTEST_POLL if is_busy else min(2 * pause, bell.longest)


def can_wait(connection: Any) -> bool:
    """Say whether PostgreSQL's driver can wait for a ring, and no longer than it is to."""
    notifies = getattr(connection, "notifies", None)  # psycopg2: a list
    return callable(notifies) and "stop_after" in signature(notifies).parameters  # psycopg 3.1


class Bell:
    """What a worker listens to between two looks at the store."""

    def __init__(self, using: str, stopping: Event) -> None:
        self.using = using
        self.stopping = stopping
        self._listening: Any = None
        self._is_deaf = False  # for good

    @property
    def longest(self) -> float:
        """Return how many seconds may pass without a look."""
        return LONGEST_POLL if self._listening is None else LONGEST_WITH_BELL

    def hear(self) -> None:
        """Listen from now on, where the database can ring and no connection listens yet."""
        if self._listening is not None or self._is_deaf:
            return
        if connections[self.using].vendor != "postgresql":
            return
        connection = connections[self.using].copy()
        try:
            connection.ensure_connection()
            if not can_wait(connection.connection):
                self._is_deaf = True  # polling will do
                connection.close()
                return
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        except DatabaseError:
            connection.close()
            return
        self._listening = connection

    def wait(self, seconds: float) -> bool:
        """Wait for a ring; say whether there was one. Ends early once the worker is to stop."""
        until = monotonic() + seconds
        while not self.stopping.is_set() and (left := until - monotonic()) > 0:
            if self._listening is None:
                self.stopping.wait(left)
            elif self._rang(min(left, HEED)):
                return True
        return False

    def _rang(self, seconds: float) -> bool:
        try:
            return bool(list(self._listening.connection.notifies(timeout=seconds, stop_after=1)))
        except Exception:  # noqa: BLE001  of the driver, not of Django: the server went away
            self.close()
            return True  # what it might have said is asked of the store

    def close(self) -> None:
        """Listen no more."""
        listening, self._listening = self._listening, None
        if listening is not None:
            with suppress(DatabaseError):
                listening.close()
