"""Renew the leases of executions under way, so that a long step is not taken for a dead driver."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition, Thread
from time import monotonic

logger = logging.getLogger("django_workflows")

#: A lease is renewed this often in its length, so that one lost beat does not matter.
BEATS_A_LEASE = 4


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Beat:
    """One lease to be kept."""

    renew: Callable[[], object]
    every: float  # seconds
    clean_up: Callable[[], object]  # gives back what the thread holds, such as connections


class Heartbeat:
    """
    One thread a process that renews every lease given to keep().

    It starts with the first and ends once there has been none for a while.
    """

    def __init__(self) -> None:
        self._due: dict[Beat, float] = {}
        self._changed = Condition()
        self._thread: Thread | None = None

    @contextmanager
    def keep(self, beat: Beat) -> Iterator[None]:
        """Renew as long as the block runs."""
        with self._changed:
            is_sooner = beat.every < self._sleep
            self._due[beat] = monotonic() + beat.every
            if self._thread is None:
                self._thread = Thread(target=self._run, name="workflow-heartbeat", daemon=True)
                self._thread.start()
            elif is_sooner:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                del self._due[beat]

    @property
    def _sleep(self) -> float:
        """Return how long the thread has to sleep; asked with the lock held."""
        waiting = [at - monotonic() for at in self._due.values()]
        return max(0.0, min(waiting, default=1.0))

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(self._sleep)
                now = monotonic()
                beats = [beat for beat, at in self._due.items() if at <= now]
                if not self._due:
                    self._thread = None
                    return
                for beat in beats:
                    self._due[beat] = now + beat.every
            for beat in beats:
                _renew(beat)


def _renew(beat: Beat) -> None:
    for work in (beat.renew, beat.clean_up):
        try:
            work()
        except Exception:
            # The lease may yet outlast the trouble; if not, the checkpoint will be refused.
            logger.warning("A lease could not be renewed", exc_info=True)


heartbeat = Heartbeat()


def _start_anew() -> None:
    """Forget the thread, which a forked child has not."""
    heartbeat.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_start_anew)
