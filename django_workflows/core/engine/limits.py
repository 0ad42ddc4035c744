"""The bounds within which an engine works."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds within which an engine works."""

    lease: timedelta = timedelta(seconds=60)
    payload_bytes: int = 1_048_576
    visits: int = 10_000  # to one step on a cycle, in one execution
    depth: int = 20  # of children within children
    claims: int = 5  # in a row without a finished step
