"""How a wait and what it waits for find each other: an event that was sent, a child that ended."""

from __future__ import annotations

from collections.abc import Callable

from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.store import Store
from django_workflows.core.waits import Answer, Cause, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import NotResumable


def arrived(store: Store, wait: Wait) -> Answer | None:
    """Return the answer that is there already for an event or child wait, or None."""
    if wait.kind == WaitKind.EVENT:
        event = store.reserve_event(wait)
        if event is not None:
            return Answer(response=event.data, by=event.by, cause=Cause.EVENT)
    is_child = wait.kind == WaitKind.CHILD and wait.key is not None
    if is_child and store.load(wait.key or "").status in FINAL_STATUSES:
        return Answer(cause=Cause.CHILD)
    return None


def deliver(store: Store, wait: Wait) -> Execution | None:
    """Give what has arrived to an open wait; return its execution, None if nothing has."""
    answer = arrived(store, wait)
    if answer is None:
        return None
    try:
        return store.settle(wait.execution_id, wait.id, answer)
    except NotResumable:
        return store.load(wait.execution_id)  # another hand was quicker


def tell_parent(store: Store, execution: Execution, awaken: Callable[[Execution], object]) -> None:
    """Settle the wait of the parent, where it has one open for this child."""
    if execution.parent is None:
        return
    for wait in store.waits(execution.parent, status=WaitStatus.OPEN):
        if wait.kind == WaitKind.CHILD and wait.key == execution.id:
            try:
                parent = store.settle(execution.parent, wait.id, Answer(cause=Cause.CHILD))
            except NotResumable:
                return  # it was settled, or is wanted no more
            if parent.status == ExecutionStatus.PENDING:
                awaken(parent)
