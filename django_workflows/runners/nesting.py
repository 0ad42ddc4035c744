"""Executions that are driven inside one another, by whoever makes them pending."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from threading import local

#: Executions that are driven inside one another; what comes deeper waits for the outermost to rest.
#: A fan-out whose children each wake the next would otherwise be as deep as it is long.
DEEPEST = 5


class Nesting:
    """Calls that a thread makes within its own calls, only so deep."""

    def __init__(self) -> None:
        self._here = local()

    def call(self, work: Callable[[], bool]) -> bool:
        """Return what ``work`` does, or True where it is done later, by the outermost call."""
        depth: int = getattr(self._here, "depth", 0)
        if depth >= DEEPEST:
            self._here.later.append(work)
            return True
        if depth == 0:
            self._here.later = deque()
        self._here.depth = depth + 1
        try:
            done = work()
            while depth == 0 and self._here.later:
                self._here.later.popleft()()
            return done
        finally:
            self._here.depth = depth
