"""
Orders and their executions. From `manage.py shell`, a workflow is started like this:

    >>> from shop.models import Order
    >>> from shop.fulfilment import fulfil
    >>> fulfil(Order.objects.get(number="1001"))
"""

from __future__ import annotations

from collections.abc import Iterable

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet

from django_workflows import Execution, ExecutionStatus, start
from django_workflows.models import WorkflowExecution, subject_key
from shop.models import Order
from shop.workflows import OrderFulfilment


def fulfil(order: Order, by: AbstractBaseUser | AnonymousUser | str | None = None) -> Execution:
    """Start the fulfilment of an order, once however often it is asked."""
    return start(
        OrderFulfilment,
        {"order_id": order.pk},
        idempotency_key=f"order:{order.number}",
        subject=order,
        by=by,
    )


def executions_of(order: Order) -> QuerySet[WorkflowExecution]:
    """Return every execution that is about an order, the newest first."""
    return WorkflowExecution.objects.for_subject(order)


def fulfilment_statuses(orders: Iterable[Order]) -> dict[int, ExecutionStatus]:
    """Return how far the fulfilment of each order has come, by the order's key; in one query."""
    keys = {subject_key(order): order.pk for order in orders}
    found = WorkflowExecution.objects.filter(workflow_id=OrderFulfilment.id, subject__in=keys)
    return {keys[str(one.subject)]: one.status for one in found.only("subject", "status")}
