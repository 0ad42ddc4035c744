"""The shop's workflows, found at startup as an admin.py is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from django_workflows import F, Q, Retry, State, Workflow, load_workflow, register, step
from django_workflows.steps import (
    Approval,
    Assign,
    End,
    Loop,
    Router,
    Sleep,
    WaitForEvent,
    When,
)
from shop import payments, stock
from shop.models import ClosedRoute, Notification, Order, Parcel, Product, Shipment

#: Over this, a manager has a say.
LARGE = 1000


class BadOrder(Exception):
    """This order cannot be fulfilled as it is written."""


class RouteClosed(Exception):
    """Nothing goes to this country at the moment."""


@register
class OrderFulfilment(Workflow):
    """Check, approve, reserve, charge, ship and pack one order."""

    timeout = timedelta(days=7)

    @dataclass
    class Input:
        order_id: int

    @step(retry=Retry(give_up=(BadOrder,)), on_error="invalid")
    def validate(self, state: State) -> dict[str, Any]:
        """See that the shop has what is ordered, and what it costs."""
        order = _order(state)
        for line in order.lines.all():
            if not line.quantity:
                raise BadOrder(f"None of {line.product} was ordered.")
            if not Product.objects.filter(name=line.product).exists():
                raise BadOrder(f"The shop has no {line.product}.")
        lines = [{"product": line.product, "quantity": line.quantity} for line in order.lines.all()]
        return {
            "number": order.number,
            "customer": order.customer,
            "total": order.total,
            "lines": lines,
        }

    amount = Router(When(Q(validate__total__gt=LARGE), then="review"), default="reserve")

    review = Approval(
        prompt="Order $validate.number of $validate.customer is over 1,000: $validate.total",
        approvers=["group:managers"],
        timeout=timedelta(days=2),
        on_reject="rejected",
        on_timeout="late",
    )

    @step(
        atomic=True,  # commits together with its checkpoint, and so happens exactly once
        retry=Retry(give_up=(stock.OutOfStock,)),
        on_error="sold_out",
        compensate="release",
    )
    def reserve(self, state: State) -> None:
        """Take everything from the shelves, or nothing."""
        stock.take(_order(state))

    @step(retry=Retry(attempts=4, delay=0.05), timeout=30, compensate="refund")
    def charge(self, state: State) -> dict[str, Any]:
        """Take the money; at least once, so the service is told by a key that it is the same."""
        order = state.ctx["validate"]
        return payments.charge(
            order["number"],
            order["customer"],
            order["total"],
            idempotency_key=state.idempotency_key,
        )

    paid = Router(When(Q(charge__status="paid"), then="ship"), default="release")

    @step(atomic=True)
    def ship(self, state: State) -> str:
        """Book the shipment."""
        order = _order(state)
        closed = ClosedRoute.objects.filter(country=order.country).first()
        if closed is not None:
            raise RouteClosed(f"Nothing goes to {closed}")
        order.status = Order.Status.SHIPPED
        order.payment = state.ctx["charge"]["id"]
        order.save()
        return Shipment.objects.create(order=order, number=f"S-{order.number}").number

    @step(atomic=True)
    def pack_line(self, state: State) -> str:
        """Put what one line asks for into a parcel."""
        shipment = Shipment.objects.get(number=state.ctx["ship"])
        return str(Parcel.objects.create(shipment=shipment, **state.ctx["line"]))

    pack = Loop(over=F("validate__lines"), as_="line", do=pack_line, max=20_000)

    done = End(result={"outcome": "shipped", "shipment": F("ship"), "parcels": F("pack")})

    # The ways to a refusal, each with its reason.

    invalid = Assign(reason=F("_last_error__message"), next="refuse")
    rejected = Assign(reason="$review.by rejected it: $review.response", next="refuse")
    late = Assign(reason="Nobody decided on it in time.", next="refuse")
    sold_out = Assign(reason=F("_last_error__message"), next="refuse")

    @step(atomic=True, next="declined")
    def release(self, state: State) -> None:
        """Put everything back on the shelves: the way of a declined card, and a compensation."""
        stock.put_back(_order(state))

    declined = Assign(reason=F("charge__reason"), next="refuse")

    @step(atomic=True)
    def refuse(self, state: State) -> None:
        """Tell the customer why not."""
        order = _order(state)
        order.status, order.refusal = Order.Status.REFUSED, state.ctx["reason"]
        order.save()
        text = f"We are sorry, {order.customer}: {order.refusal}"
        Notification.objects.create(order=order, text=text)

    refused = End(result={"outcome": "refused", "reason": F("reason")})

    # Reached as a compensation: should a later step fail for good, the money goes back.

    @step(retry=Retry(attempts=4, delay=0.05))
    def refund(self, state: State) -> None:
        """Give the money back."""
        if state.ctx["charge"]["status"] == "paid":
            payments.refund(state.ctx["charge"]["id"])


@register
class ReturnOfGoods(Workflow):
    """A customer sends an order back; started by a view, shop.views.request_return."""

    timeout = timedelta(days=60)

    @dataclass
    class Input:
        order_id: int
        reason: str

    @step
    def number(self, state: State) -> str:
        """Find what a manager knows the order by."""
        order = Order.objects.filter(pk=state.input["order_id"]).first()
        return order.number if order else f"{state.input['order_id']} (not found)"

    accept = Approval(
        prompt="Order $number is to be returned: $input.reason",
        approvers=["group:managers", "perm:shop.change_order"],
        timeout=timedelta(days=5),
        on_reject="decline",
    )

    # send_event("parcel.returned", key=order.pk, data={...}), from the returns desk.
    parcel = WaitForEvent(
        "parcel.returned", key=F("input__order_id"), timeout=timedelta(days=30), on_timeout="expire"
    )

    condition = Router(When(Q(parcel__damaged=True), then="decline"), default="refund")

    @step(retry=Retry(attempts=4, delay=0.05), timeout=30)
    def refund(self, state: State) -> str:
        """Give the money back; the service does so once."""
        refunded = payments.refund(_order(state).payment)
        return f"{refunded['amount']} were refunded."

    @step(atomic=True)
    def restock(self, state: State) -> None:
        """Put the goods back on the shelves."""
        order = _order(state)
        stock.put_back(order)
        order.status = Order.Status.RETURNED
        order.save()

    returned = End(result={"outcome": "returned", "refund": F("refund")})

    decline = Assign(outcome="declined", next="over")
    expire = Assign(outcome="expired", next="over")
    over = End(result={"outcome": F("outcome")})


@register
class ShipmentNotice(Workflow):
    """Tell the customer, and ask for a review later; started by a signal, shop.signals."""

    @dataclass
    class Input:
        shipment_id: int

    @step(atomic=True)
    def announce(self, state: State) -> None:
        _notify(state, "Your order is on its way, {}.")

    give_it_time = Sleep(timedelta(days=14))  # holds no worker and no connection

    @step(atomic=True)
    def ask_for_review(self, state: State) -> None:
        _notify(state, "How do you like it, {}?")

    done = End()


# And one that is no Python at all.
Reorder = load_workflow(Path(__file__).with_name("reorder.yaml"))


def _order(state: State) -> Order:
    return Order.objects.get(pk=state.input["order_id"])


def _notify(state: State, text: str) -> None:
    order = Order.objects.get(shipments=state.input["shipment_id"])
    Notification.objects.create(order=order, text=text.format(order.customer))
