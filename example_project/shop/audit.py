"""Does everything add up? The shop's books against the payment service's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django_workflows import ExecutionStatus
from django_workflows.models import WorkflowExecution
from shop.models import Order, Product, Shipment
from shop.workflows import LARGE, OrderFulfilment

Finding = tuple[str, list[str]]  # what was looked for, and each case where it is not so


def findings(charges: list[dict[str, Any]]) -> Iterator[Finding]:
    """
    Yield what must hold once every order has ended, each with where it does not.

    ``charges`` is what the payment service says.
    """
    orders = list(Order.objects.prefetch_related("lines", "shipments__parcels", "notifications"))
    shipped = [order for order in orders if order.status == Order.Status.SHIPPED]
    refused = [order for order in orders if order.status == Order.Status.REFUSED]
    yield "every order was fulfilled by one execution, which completed", _unfinished(orders)
    yield (
        f"each of the {len(shipped)} shipped orders has one shipment, with all its lines",
        [f"{order.number}: {_packed(order)}" for order in shipped if not _is_packed(order)],
    )
    yield (
        f"each of the {len(shipped)} shipped orders was charged once, its total",
        [
            f"{order.number} of {order.total}: {_told(_kept(order, charges))}"
            for order in shipped
            if _kept(order, charges) != [order.total]
        ],
    )
    yield (
        f"none of the {len(refused)} refused orders has a shipment, and no money of it was kept",
        [
            f"{order.number}: {_packed(order)}, {_told(_kept(order, charges))}"
            for order in refused
            if order.shipments.all() or _kept(order, charges)
        ],
    )
    yield (
        f"each of the {len(refused)} refused orders says why",
        [order.number for order in refused if not order.refusal],
    )
    yield "what nobody could fulfil was refused", _impossible(shipped)
    yield (
        f"every shipped order over {LARGE:,} was approved, by somebody other than who asked for it",
        [order.number for order in shipped if order.total > LARGE and not _is_approved(order)],
    )
    yield (
        "every customer was told once how it ended",
        [order.number for order in [*shipped, *refused] if not _is_told_once(order)],
    )
    yield "stock was never below zero, and is what was there less what was shipped", _lost()


def _fulfilments(order: Order) -> list[WorkflowExecution]:
    subject = f"{order._meta.label_lower}:{order.pk}"
    workflow_id = OrderFulfilment.id
    return list(WorkflowExecution.objects.filter(subject=subject, workflow_id=workflow_id))


def _unfinished(orders: list[Order]) -> list[str]:
    found = []
    for order in orders:
        statuses = [str(execution.status) for execution in _fulfilments(order)]
        if statuses != [ExecutionStatus.COMPLETED]:
            found.append(f"{order.number}: {' and '.join(statuses) or 'not started'}")
    return found


def _is_packed(order: Order) -> bool:
    ordered = [(line.product, line.quantity) for line in order.lines.all()]
    shipments = order.shipments.all()
    parcels = [parcel for shipment in shipments for parcel in shipment.parcels.all()]
    packed = [(parcel.product, parcel.quantity) for parcel in parcels]
    return len(shipments) == 1 and packed == ordered


def _packed(order: Order) -> str:
    parcels = sum(len(shipment.parcels.all()) for shipment in order.shipments.all())
    return f"shipments {len(order.shipments.all())}, parcels {parcels}"


def _kept(order: Order, charges: list[dict[str, Any]]) -> list[Decimal]:
    """Return the amounts that were taken for an order and not given back."""
    of_order = [charge for charge in charges if charge["order"] == order.number]
    return [Decimal(charge["amount"]) for charge in of_order if charge["status"] == "paid"]


def _told(amounts: list[Decimal]) -> str:
    return f"charged {' and '.join(map(str, amounts)) or 'nothing'}"


def _impossible(shipped: list[Order]) -> list[str]:
    known = set(Product.objects.values_list("name", flat=True))
    return [
        order.number
        for order in shipped
        if any(line.product not in known or not line.quantity for line in order.lines.all())
    ]


def _is_approved(order: Order) -> bool:
    return all(
        execution.ctx.get("review", {}).get("approved")
        and execution.ctx["review"]["by"] not in {None, execution.started_by}
        for execution in _fulfilments(order)
    )


def _is_told_once(order: Order) -> bool:
    texts = [notification.text for notification in order.notifications.all()]
    return bool(texts) and len(texts) == len(set(texts))


def _lost() -> list[str]:
    gone: Counter[str] = Counter()
    for shipment in Shipment.objects.filter(order__status=Order.Status.SHIPPED):
        for parcel in shipment.parcels.all():
            gone[parcel.product] += parcel.quantity
    return [
        f"{product.name}: {product.delivered} delivered, {gone[product.name]} shipped,"
        f" {product.stock} there"
        for product in Product.objects.all()
        if product.stock < 0 or product.stock != product.delivered - gone[product.name]
    ]
