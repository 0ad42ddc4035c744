"""What is in the shop when `manage.py serve` opens it: a day of orders, in every state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from django.contrib.auth.models import User
from django.core.management.base import OutputWrapper
from django.db.models import QuerySet

from django_workflows import ExecutionStatus, cancel, resume, send_event, start
from django_workflows.models import WorkflowExecution
from django_workflows.testing import travel
from shop import orders, people
from shop.console import progress
from shop.fulfilment import fulfil
from shop.models import ClosedRoute, Order
from shop.workflows import OrderFulfilment, ReturnOfGoods

#: Orders that were fulfilled, or tried to, before the shop opens; the others are new.
BEGUN = 120

#: Over how many hours before now.
HOURS = 23

#: Where nothing can be shipped to: executions fail there until these rows are deleted.
STRIKES = {"IS": "the harbour is on strike", "FI": "the ferry is frozen in"}

#: Large orders that wait for a manager.
LEFT_WAITING = 5


class Opening:
    """Fills an empty shop. Each method is one part of that; ``fill()`` is their order."""

    def __init__(self, out: OutputWrapper) -> None:
        self.out = out
        self.admin = people.hire_admin("admin")
        self.manager = people.hire_manager("maria")
        self.clerk = people.hire_clerk("robin")

    def fill(self) -> list[Order]:
        """Write everything and return the orders that nobody has begun."""
        orders.stock_catalogue()
        saved = orders.save_orders(orders.read_orders(orders.SHIPPED_ORDERS).orders)
        for country, reason in STRIKES.items():
            ClosedRoute.objects.create(country=country, reason=reason)
        self.fulfil_orders(saved[:BEGUN])
        self.decide()
        self.take_back()
        self.reorder()
        return saved[BEGUN:]

    def fulfil_orders(self, chosen: Sequence[Order]) -> None:
        """Fulfil them over the last hours, more and more of them as the day goes on."""
        for place, order in enumerate(progress(chosen, "orders", self.out), start=1):
            with hours_ago(HOURS * (1 - (place / len(chosen)) ** 0.7)):
                fulfil(order, by=self.clerk)

    def decide(self) -> None:
        """Approve some of the large orders, reject one, cancel one, and leave the newest."""
        halted = list(fulfilments(ExecutionStatus.HALTED))[:-LEFT_WAITING]
        with hours_ago(2):
            for place, execution in enumerate(halted):
                if place == 0:
                    cancel(execution.id, reason="the customer thought better of it", by=self.admin)
                else:
                    said = None if place > 1 else "too much at once"
                    approved = place > 1
                    resume(execution.id, approved=approved, response=said, by=self.manager)

    def take_back(self) -> None:
        """Have three orders sent back: over with, on its way, and waiting for a manager."""
        shipped = Order.objects.filter(status=Order.Status.SHIPPED)[:3]
        over, sent, _asked = (self._request_return(order, self.clerk) for order in shipped)
        with hours_ago(1):
            for execution in (over, sent):
                resume(execution, approved=True, by=self.manager)
            send_event("parcel.returned", key=shipped[0].pk, data={"damaged": False})

    def reorder(self) -> None:
        """
        Ask for a few pieces, which are had at once, and for many, which a manager decides.

        And for what nobody has put into the catalogue: that fails, until somebody does.
        """
        for place, quantity in enumerate([2, 4, 6], start=1):
            with hours_ago(3 * place):
                self._reorder("Cold brew tower", quantity)
        self._reorder("Burr grinder", 5)
        self._reorder("Porcelain cup", 500)

    def _reorder(self, product: str, quantity: int) -> None:
        start("reorder", {"product": product, "quantity": quantity}, by=self.clerk)

    def _request_return(self, order: Order, by: User) -> str:
        with hours_ago(3):
            execution = start(
                ReturnOfGoods,
                {"order_id": order.pk, "reason": "it is the wrong colour"},
                idempotency_key=f"return:{order.pk}",
                subject=order,
                by=by,
            )
        return execution.id


def fulfilments(status: ExecutionStatus) -> QuerySet[WorkflowExecution]:
    """Return the fulfilments of that status, the oldest first."""
    found = WorkflowExecution.objects.filter(workflow_id=OrderFulfilment.id, status=status)
    return found.order_by("created_at", "id")


@contextmanager
def hours_ago(hours: float) -> Iterator[None]:
    """Let what happens meanwhile have happened so many hours ago."""
    with travel(-timedelta(hours=hours)):
        yield
