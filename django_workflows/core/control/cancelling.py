"""End an execution that is under way, or have it undone first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.control.common import (
    ended,
    entry_of_verb,
    refuse_moved,
    withdrawn,
)
from django_workflows.core.decisions import Change, Decide
from django_workflows.core.definition import CANCELLED
from django_workflows.core.execution import (
    FINAL_STATUSES,
    EntryAction,
    Execution,
    ExecutionStatus,
)
from django_workflows.core.waits import Wait
from django_workflows.exceptions import InvalidTransition


def cancel(
    reason: str,
    by: str | None,
    *,
    tells_parent: bool = True,
    compensate: bool = False,
    expected_revision: str | None = None,
) -> Decide:
    """
    Return the decision that ends an execution; a driver's next checkpoint is refused.

    With ``compensate`` it is driven once more, to undo what its completed steps did; that ends it.
    One that is being undone as it is ends at once, and its error names what was not undone.
    """

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        refuse_moved(execution, expected_revision, "cancel")
        if execution.status in FINAL_STATUSES:
            raise InvalidTransition(execution.id, execution.status, "cancel", "still under way")
        is_undoing = execution.error is not None
        if compensate and is_undoing:
            raise InvalidTransition(
                execution.id, "being undone", "cancel with compensate", "not being undone yet"
            )
        error = f"Cancelled: {reason or 'no reason given'}"
        output: dict[str, Any] = {"reason": reason}
        tells = tells_parent
        if compensate and execution.compensations:
            cancelled, tells = _to_be_undone(execution, error), False  # told when it has ended
        else:
            if is_undoing:
                output["not_undone"] = [one.step for one in reversed(execution.compensations)]
                left = ", ".join(map(repr, output["not_undone"]))
                error = f"{execution.error} ({error}; not undone: {left})"
            cancelled = ended(execution, status=ExecutionStatus.CANCELLED, error=error)
        return Change(
            execution=cancelled,
            entries=[entry_of_verb(execution, EntryAction.CANCELLED, by, output=output)],
            waits=withdrawn(waits),
            chores=_after_cancel(execution, reason, by, tells_parent=tells, compensate=compensate),
        )

    return decide


def _to_be_undone(execution: Execution, error: str) -> Execution:
    return ended(
        execution,
        status=ExecutionStatus.PENDING,
        error=error,
        frames=replace(execution.frames, end=CANCELLED),
        finished_at=None,
        deadline_at=None,
        claims=0,
    )


def _after_cancel(
    execution: Execution, reason: str, by: str | None, *, tells_parent: bool, compensate: bool
) -> list[Chore]:
    """Return the chores that a cancelled execution leaves: end its children, tell its parent."""
    because = reason or f"parent {execution.id} was cancelled"
    found = []
    if execution.fence:  # one that was never claimed has no children
        kind = ChoreKind.UNDO_CHILDREN if compensate else ChoreKind.CANCEL_CHILDREN
        found.append(Chore(kind=kind, execution_id=execution.id, reason=because, by=by))
    if tells_parent and execution.parent is not None:
        found.append(Chore(kind=ChoreKind.MEET, execution_id=execution.parent))
    return found
