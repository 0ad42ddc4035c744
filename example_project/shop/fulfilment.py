"""
Orders and their executions. From `manage.py shell`, a workflow is started like this:

    >>> from shop.models import Order
    >>> from shop.fulfilment import fulfil
    >>> fulfil(Order.objects.get(number="1001"))
"""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import QuerySet

from django_workflows import Execution, start
from django_workflows.models import WorkflowExecution
from shop.models import Order
from shop.workflows import OrderFulfilment


def fulfil(order: Order, by: AbstractBaseUser | None = None) -> Execution:
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
    return WorkflowExecution.objects.filter(subject=f"{order._meta.label_lower}:{order.pk}")
