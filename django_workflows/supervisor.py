"""Look for what nobody drives, and wake it. Any number of supervisors may look at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from django_workflows import wiring
from django_workflows.core import clock
from django_workflows.core.decisions import Change, fire, wake
from django_workflows.core.engine.arriving import deliver
from django_workflows.core.execution import Execution
from django_workflows.core.store import Due, DueReason, Store
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import ExecutionNotFound, NotResumable, StoreUnavailable

logger = logging.getLogger("django_workflows")

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
    looks = [partial(awakened, store, due) for due in store.due(now or clock.now(), limit)]
    for kind in (WaitKind.CHILD, WaitKind.EVENT):
        waits = store.find_waits(kind=kind, limit=MOST_ARRIVALS)
        looks += [partial(deliver, store, wait) for wait in waits]
    return sum(_dispatched(look, dispatch) for look in looks)


def _dispatched(
    look: Callable[[], Execution | None], dispatch: Callable[[Execution], object]
) -> bool:
    """Dispatch what ``look`` finds; one that cannot be read must not keep the others waiting."""
    try:
        execution = look()
        if execution is not None:
            dispatch(execution)
    except StoreUnavailable:
        raise
    except Exception:
        logger.exception("A sweep could not wake an execution")
        return False
    return execution is not None


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
