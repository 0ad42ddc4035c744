"""The one place that asks for the time, so that tests can travel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

#: What is waited for, or is given time, lasts no longer: else its end would be no date any more.
LONGEST = timedelta(days=36_525)  # 100 years

_offset = timedelta(0)


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC) + _offset


def travel(delta: timedelta) -> None:
    """Move this process's clock by ``delta``, for every thread. Meant for tests."""
    global _offset  # noqa: PLW0603  one clock a process is the point
    _offset += delta


def reset() -> None:
    """Return to the real time."""
    global _offset  # noqa: PLW0603  see travel()
    _offset = timedelta(0)
