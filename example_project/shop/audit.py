"""Does everything add up? The shop's books against the payment service's, and against the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django_workflows import ExecutionStatus
from django_workflows.models import WorkflowExecution
from shop.models import Order, Product, Shipment
from shop.workflows import LARGE, OrderFulfilment

Finding = tuple[str, list[str]]  # what was looked for, and every order where it is not so


def findings(charges: list[dict[str, Any]], delivered: dict[str, int]) -> Iterator[Finding]:
    """
    Yield what must hold once every order has ended, each with where it does not.

    ``charges`` is what the payment service says, ``delivered`` what was on the shelves at first.
    """
    orders = list(Order.objects.prefetch_related("lines", "shipments__parcels"))
    shipped = [order for order in orders if order.status == Order.Status.SHIPPED]
    refused = [order for order in orders if order.status == Order.Status.REFUSED]
    yield "every order was fulfilled by one execution, which completed", _unfinished(orders)
    yield (
        f"each of the {len(shipped)} shipped orders has one shipment, with all its lines",
        [order.number for order in shipped if not _is_packed(order)],
    )
    yield (
        f"each of the {len(shipped)} shipped orders was charged once, its total",
        [order.number for order in shipped if _kept(order, charges) != [order.total]],
    )
    yield (
        f"none of the {len(refused)} refused orders has a shipment, and no money of it was kept",
        [order.number for order in refused if order.shipments.all() or _kept(order, charges)],
    )
    yield (
        f"each of the {len(refused)} refused orders says why",
        [order.number for order in refused if not order.refusal],
    )
    yield (
        "what nobody could fulfil was refused",
        [order.number for order in shipped if _is_impossible(order, set(delivered))],
    )
    yield (
        f"every shipped order over {LARGE:,} was approved, by somebody other than who asked for it",
        [order.number for order in shipped if order.total > LARGE and not _is_approved(order)],
    )
    yield (
        "stock was never below zero, and is what was there less what was shipped",
        _lost(delivered),
    )


def _fulfilments(order: Order) -> list[WorkflowExecution]:
    subject = f"{order._meta.label_lower}:{order.pk}"
    workflow_id = OrderFulfilment.id
    return list(WorkflowExecution.objects.filter(subject=subject, workflow_id=workflow_id))


def _unfinished(orders: list[Order]) -> list[str]:
    completed = [ExecutionStatus.COMPLETED]
    return [
        order.number
        for order in orders
        if [execution.status for execution in _fulfilments(order)] != completed
    ]


def _is_packed(order: Order) -> bool:
    ordered = [(line.product, line.quantity) for line in order.lines.all()]
    shipments = order.shipments.all()
    parcels = [parcel for shipment in shipments for parcel in shipment.parcels.all()]
    packed = [(parcel.product, parcel.quantity) for parcel in parcels]
    return len(shipments) == 1 and packed == ordered


def _kept(order: Order, charges: list[dict[str, Any]]) -> list[Decimal]:
    """Return the amounts that were taken for an order and not given back."""
    of_order = [charge for charge in charges if charge["order"] == order.number]
    return [Decimal(charge["amount"]) for charge in of_order if charge["status"] == "paid"]


def _is_impossible(order: Order, known: set[str]) -> bool:
    return any(line.product not in known or not line.quantity for line in order.lines.all())


def _is_approved(order: Order) -> bool:
    (execution,) = _fulfilments(order)
    review = execution.ctx.get("review", {})
    return bool(review.get("approved")) and review["by"] not in {None, execution.started_by}


def _lost(delivered: dict[str, int]) -> list[str]:
    gone: Counter[str] = Counter()
    for shipment in Shipment.objects.prefetch_related("parcels"):
        for parcel in shipment.parcels.all():
            gone[parcel.product] += parcel.quantity
    stock = dict(Product.objects.values_list("name", "stock"))
    return [
        product
        for product, there in delivered.items()
        if stock[product] < 0 or stock[product] != there - gone[product]
    ]
