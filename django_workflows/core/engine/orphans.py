"""End the children of what has ended, or of what is wanted no more."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from django_workflows.core.control import cancel
from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.store import Store
from django_workflows.exceptions import ExecutionNotFound, InvalidTransition

#: More than any execution has at once.
MOST_CHILDREN = 1_000_000

#: Gets the cancelled execution and the reason.
Tell = Callable[[Execution, str], object]


def cancel_tree(
    store: Store, execution_id: str, reason: str, by: str | None, tell: Tell
) -> Execution:
    """Cancel an execution and its children, ``tell`` of each, and return the first."""
    cancelled = store.transition(execution_id, cancel(reason, by))
    tell(cancelled, reason)
    because = reason or f"parent {cancelled.id} was cancelled"
    cancel_children(store, cancelled.id, because, by, tell)
    return cancelled


def cancel_children(store: Store, parent: str, reason: str, by: str | None, tell: Tell) -> None:
    """Cancel the children of ``parent`` that are under way."""
    for status in sorted(set(ExecutionStatus) - FINAL_STATUSES):
        for child in store.find(parent=parent, status=status, limit=MOST_CHILDREN):
            cancel_orphan(store, child.id, reason, by, tell)


def cancel_orphan(store: Store, child: str, reason: str, by: str | None, tell: Tell) -> None:
    """Cancel one child with its own, where it has not ended meanwhile."""
    with suppress(InvalidTransition, ExecutionNotFound):
        cancel_tree(store, child, reason, by, tell)
