"""How far the orders have come."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from django_workflows import ExecutionStatus
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.models import WorkflowExecution, WorkflowWait
from shop.models import Order
from shop.workflows import OrderFulfilment, ShipmentNotice

#: Seconds between two looks.
INTERVAL = 0.5

_UNDER_WAY = [ExecutionStatus.PENDING, ExecutionStatus.RUNNING]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many there are of what, in words; and whether anything is still to be driven."""

    counts: dict[str, int]
    ended: int
    moves: bool

    def __str__(self) -> str:
        return ", ".join(f"{number} {words}" for words, number in self.counts.items() if number)


def look() -> Progress:
    """Return how far the orders have come."""
    # Asked first: what is under way at the first question may have ended at the second.
    retrying = WorkflowWait.objects.filter(status=WaitStatus.OPEN, kind=WaitKind.RETRY)
    moves = WorkflowExecution.objects.filter(status__in=_UNDER_WAY).exists() or retrying.exists()
    notices = WorkflowExecution.objects.filter(workflow_id=ShipmentNotice.id)
    fulfilments = WorkflowExecution.objects.filter(workflow_id=OrderFulfilment.id)
    found = Counter(fulfilments.values_list("status", flat=True))
    outcomes = Counter(Order.objects.values_list("status", flat=True))
    counts = {
        "not started": outcomes.total() - found.total(),
        "waiting for a worker": found[ExecutionStatus.PENDING],
        "running": found[ExecutionStatus.RUNNING],
        "waiting for a manager": found[ExecutionStatus.HALTED],
        "shipped": outcomes[Order.Status.SHIPPED],
        "refused": outcomes[Order.Status.REFUSED],
        "failed": found[ExecutionStatus.FAILED],
        "cancelled": found[ExecutionStatus.CANCELLED],
        "customers to be told": notices.filter(status__in=_UNDER_WAY).count(),
    }
    ended = sum(number for status, number in found.items() if ExecutionStatus(status).is_final)
    return Progress(counts, ended, moves)


def watch(until: int | None) -> Iterator[Progress]:
    """Look again and again, until so many orders have ended, or nothing moves any more."""
    while True:
        progress = look()
        yield progress
        if not progress.moves or (until is not None and progress.ended >= until):
            return
        time.sleep(INTERVAL)
