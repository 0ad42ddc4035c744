"""Small values that stores hand out, and what the parts of a checkpoint come to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Wait, WaitStatus

#: How many executions one transaction deletes, about.
MOST_PURGED = 2000

#: How a child ends without having done what it was wanted for.
LOST = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What has to be known of a pending execution to ring for it."""

    id: str
    workflow_id: str
    queue: str | None
    priority: int
    fence: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An execution that has ended and has no parent, and its place in a list of them."""

    id: str
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """What became of roots of trees: how many were dealt with, and how much is deleted by it."""

    roots: int
    executions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildrenState:
    """What has become of the children of one step of a parent."""

    live: bool  # one of them is pending, running or halted
    lost: bool  # one of them has failed or was cancelled


def without_closed(waits: Iterable[Wait]) -> list[Wait]:
    """Return the waits that were not opened and closed again between two checkpoints."""
    latest: dict[str, Wait] = {}
    opened: set[str] = set()
    for wait in waits:
        if wait.status == WaitStatus.OPEN:
            opened.add(wait.id)
        latest[wait.id] = wait
    return [
        wait for wait in latest.values() if wait.status == WaitStatus.OPEN or wait.id not in opened
    ]
