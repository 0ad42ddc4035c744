"""What became pending while something was driven here, and is to be driven here after it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from django_workflows.core.execution import Execution


class Agenda:
    """
    A list that whoever drives the outermost execution works off when that has come to rest.

    Done one after another and not one inside another, the ten thousandth child of a fan-out is
    driven at the same depth as the first.
    """

    def __init__(self) -> None:
        self._waiting: deque[Execution] = deque()
        self._depth = 0
        self._lock = Lock()

    def add(self, execution: Execution) -> None:
        """Have ``execution`` driven later."""
        self._waiting.append(execution)

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Hold a turn at driving; yields whether it is the outermost."""
        with self._lock:
            self._depth += 1
            is_outermost = self._depth == 1
        try:
            yield is_outermost
        finally:
            with self._lock:
                self._depth -= 1

    def work_off(self, drive: Callable[[Execution], object], stopping: Callable[[], bool]) -> int:
        """
        Drive what is on the list, and what comes onto it meanwhile; return how many.

        Once ``stopping()`` the rest is left to others: what gives its lease back comes onto the
        list itself, and would be claimed and given back for ever.
        """
        driven = 0
        while self._waiting and not stopping():
            drive(self._waiting.popleft())
            driven += 1
        return driven
