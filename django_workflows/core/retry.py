"""When a failed step is attempted again."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta

from django_workflows.core import clock
from django_workflows.exceptions import PayloadError

#: Longer pauses are durable waits that hold no worker; shorter ones are slept through in place.
LONGEST_PAUSE_IN_PROCESS = 5.0


@dataclass(frozen=True, slots=True)
class Retry:
    """
    Attempt a step up to ``attempts`` times, ``delay`` apart, growing by the factor ``backoff``.

    Delays are seconds or timedeltas; ``max_delay`` bounds the pause. ``jitter`` is the share of it
    that is random, from 0 to 1. Only errors in ``on`` and not in ``give_up`` are attempted again; a
    value that cannot be kept never is, as it would be refused each time.
    """

    attempts: int = 3
    delay: float | timedelta = 1.0
    backoff: float = 2.0
    max_delay: float | timedelta = 3600.0
    jitter: float = 0.0
    on: tuple[type[BaseException], ...] = (Exception,)
    give_up: tuple[type[BaseException], ...] = ()

    def wants(self, error: BaseException, attempt: int) -> bool:
        """Say whether to attempt again after ``error`` in attempt number ``attempt``, from 1."""
        if attempt >= self.attempts or isinstance(error, self.give_up):
            return False
        if isinstance(error, PayloadError) or isinstance(error.__cause__, PayloadError):
            return False
        return isinstance(error, self.on)

    def pause(self, attempt: int) -> float:
        """Return how many seconds to wait after attempt number ``attempt``, from 1."""
        try:
            grown = seconds(self.delay) * self.backoff ** (attempt - 1)
        except OverflowError:
            grown = seconds(self.max_delay)
        bounded = min(grown, seconds(self.max_delay))
        # Spreads simultaneous failures; nothing secret hangs on it.
        return bounded * (1 - self.jitter * random.random())  # noqa: S311

    def problems(self) -> list[str]:
        """Return what is wrong with the policy, as sentences."""
        found = []
        if self.attempts < 1:
            found.append(f"retry attempts must be at least 1, not {self.attempts}")
        if seconds(self.delay) < 0 or seconds(self.max_delay) < 0:
            found.append("retry delays must not be negative")
        if not max(seconds(self.delay), seconds(self.max_delay)) <= clock.LONGEST.total_seconds():
            found.append("retry delays must be at most 100 years")
        if self.backoff <= 0:
            found.append(f"retry backoff must be positive, not {self.backoff:g}")
        if not 0 <= self.jitter <= 1:
            found.append(f"retry jitter must lie between 0 and 1, not {self.jitter:g}")
        return found


#: What a step has that names no policy.
ONCE = Retry(attempts=1)


def seconds(value: float | timedelta) -> float:
    """Return a duration, given in seconds or as a timedelta, in seconds."""
    return value.total_seconds() if isinstance(value, timedelta) else float(value)
