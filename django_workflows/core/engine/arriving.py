"""How a wait and what it waits for find each other: an event that was sent, a child that ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.store import Store
from django_workflows.core.waits import Answer, Cause, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionNotFound, NotResumable


def arrived(store: Store, wait: Wait) -> Answer | None:
    """Return the answer that is there already for an event or child wait, or None."""
    if wait.kind == WaitKind.EVENT:
        event = store.reserve_event(wait)
        if event is not None:
            return Answer(response=event.data, by=event.by, cause=Cause.EVENT)
    if wait.kind == WaitKind.CHILD and wait.key is not None and _has_ended(store, wait.key):
        return Answer(cause=Cause.CHILD)
    return None


def _has_ended(store: Store, child: str) -> bool:
    try:
        return store.load(child).status in FINAL_STATUSES
    except ExecutionNotFound:
        return True  # deleted by hand: the step that waits for it starts it anew


def deliver(store: Store, wait: Wait) -> Execution | None:
    """Give what has arrived to an open wait; return its execution, None if nothing has."""
    answer = arrived(store, wait)
    if answer is None:
        return None
    try:
        return store.settle(wait.execution_id, wait.id, answer)
    except NotResumable:
        return store.load(wait.execution_id)  # another hand was quicker


def settle_arrived(store: Store, waits: Iterable[Wait]) -> bool:
    """
    Settle waits whose event was sent, or whose child ended, before they were written.

    Asked after the halt is committed: sender and waiter each look for the other after their own
    commit, so one of them always sees. Say whether one was settled here.
    """
    settled = False
    for wait in waits:
        answer = arrived(store, wait) if wait.status == WaitStatus.OPEN else None
        if answer is not None:
            with suppress(NotResumable):  # the other side was quicker
                store.settle(wait.execution_id, wait.id, answer)
                settled = True
    return settled


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
