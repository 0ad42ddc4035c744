"""Look for what nobody drives, and wake it. Any number of supervisors may look at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django_workflows import wiring
from django_workflows.core import clock
from django_workflows.core.decisions import Change, fire, wake
from django_workflows.core.engine.arriving import deliver
from django_workflows.core.execution import Execution
from django_workflows.core.store import Due, DueReason, Store
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import ExecutionNotFound, NotResumable

#: Open waits for events and children that one sweep looks at, the oldest first.
MOST_ARRIVALS = 1_000


def sweep(
    now: datetime | None = None,
    *,
    limit: int = 100,
    dispatch: Callable[[Execution], object] = wiring.dispatch,
) -> int:
    """
    Look once, and wake what is due; return how many executions that were.

    Due is: pending and not driven, running with a lease that ran out, waits whose time has come,
    halted past the deadline, and waits whose event was sent or whose child ended without anybody
    left to tell them. It only compares, swaps and dispatches, so twice is harmless.
    """
    store = wiring.store()
    found = [awakened(store, due) for due in store.due(now or clock.now(), limit)]
    for kind in (WaitKind.CHILD, WaitKind.EVENT):
        found += [deliver(store, wait) for wait in store.find_waits(kind=kind, limit=MOST_ARRIVALS)]
    woken = [execution for execution in found if execution is not None]
    for execution in woken:
        dispatch(execution)
    return len(woken)


def awakened(store: Store, due: Due) -> Execution | None:
    """Return the execution, ready to be driven; None where it ended or another was quicker."""
    try:
        if due.reason == DueReason.WAIT and due.wait_id is not None:
            return store.transition(due.execution_id, fire(due.wait_id))
        if due.reason == DueReason.DEADLINE:
            # Driven once more, the engine sees the deadline and fails it by the book.
            return store.transition(
                due.execution_id, lambda stored, _: Change(execution=wake(stored))
            )
        return store.load(due.execution_id)
    except (ExecutionNotFound, NotResumable):
        return None
