"""The demo: a day in the shop, told while it happens. See the command of the same name."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import OutputWrapper
from django.db.models import Count, QuerySet
from django.utils.timezone import now

from django_workflows import ExecutionStatus, explain, resume, retry, run
from django_workflows.exceptions import NotAllowed
from django_workflows.models import WorkflowEntry, WorkflowExecution
from django_workflows.supervisor import sweep
from shop import audit, orders, payments, people
from shop.console import progress, table, verdict
from shop.fulfilment import executions_of, fulfil
from shop.management.commands.crash_order import EXIT_CODE
from shop.models import ClosedRoute, Order, Product
from shop.workflows import LARGE, OrderFulfilment

#: The share of the large orders that the manager rejects: the largest quarter.
REJECTED = 4

MANAGE = Path(__file__).parent.parent / "manage.py"

#: How many of a kind are shown.
SHOWN = 3

#: The steps of OrderFulfilment that say why an order is refused.
WAYS_TO_REFUSAL = ["invalid", "rejected", "late", "sold_out", "declined"]


class Demo:
    """Each method is one part of the story; ``play()`` is their order."""

    def __init__(self, read: orders.OrdersRead, out: OutputWrapper, *, stock_unknown: bool) -> None:
        self.read = read
        self.out = out
        self.stock_unknown = stock_unknown
        self.began = time.monotonic()

    def play(self) -> bool:
        """Tell the whole story; return whether everything ended as it had to."""
        self.open_the_shop()
        crashing, others = self.choose_one_to_crash()
        self.fulfil_orders(others)
        if crashing is not None:
            self.crash_and_recover(crashing)
        self.decide_on_large_orders()
        self.repair_what_failed()
        self.run_a_document()
        self.tell_history()
        self.sum_up()
        return self.check()

    def say(self, text: str = "") -> None:
        self.out.write(text)

    def head(self, text: str) -> None:
        self.say(f"\n{text}\n")

    # The parts ----------------------------------------------------------------------------------

    def open_the_shop(self) -> None:
        """Fill the shelves, take in the orders, hire two people, and close one route."""
        orders.stock_catalogue()
        if self.stock_unknown:
            orders.stock_unknown(self.read.orders)
        self.orders = orders.save_orders(self.read.orders)
        self.requester = User.objects.create_user("robin")
        self.manager = people.hire_manager("maria")
        self.say(f"{len(self.orders)} orders were imported. robin asks for them to be fulfilled;")
        self.say("maria is a manager.")
        countries = Counter(order.country for order in self.orders)
        if len(countries) > 1:
            rarest = min(countries, key=lambda country: (countries[country], country))
            ClosedRoute.objects.create(country=rarest, reason="the harbour is on strike")
            self.say(f"Nothing can be shipped to {rarest} today: the harbour is on strike.")

    def choose_one_to_crash(self) -> tuple[Order | None, list[Order]]:
        """Return the last order that nobody has to approve, and all the others."""
        last = next((order for order in reversed(self.orders) if order.total <= LARGE), None)
        return last, [order for order in self.orders if order != last]

    def fulfil_orders(self, chosen: Sequence[Order]) -> None:
        self.head("Every order is fulfilled by one execution of shop.workflows.OrderFulfilment")
        for order in progress(chosen, "orders", self.out):
            fulfil(order, by=self.requester)
        statuses = Counter(execution.status for execution in self.fulfilments())
        again = WorkflowEntry.objects.filter(action="retried").count()
        counted = [f"{number} {status}" for status, number in sorted(statuses.items())]
        self.say(f"  {', '.join(counted) or 'none'}; {again} steps were attempted again.")

    def crash_and_recover(self, order: Order) -> None:
        """Let a process die at the worst moment: the money is taken, and no checkpoint says so."""
        self.head("A process dies while it fulfils an order")
        command = [sys.executable, str(MANAGE), "crash_order", order.number]
        died = subprocess.run(command, env=self.environment(), capture_output=True, check=False)
        if died.returncode != EXIT_CODE:
            self.say(f"  {order} was over before there was anything to charge.")
            return
        (execution,) = executions_of(order)
        self.say(f"  {order}: {explain(execution.id)}")
        while execution.lease_expires_at and now() < execution.lease_expires_at:
            time.sleep(0.05)
        sweep()  # what `manage.py workflows supervise` does all the time
        self.say(f"  {order}, once its lease has run out: {explain(execution.id)}")
        taken = [charge for charge in payments.charges() if charge["order"] == order.number]
        self.say(f"  It was charged {len(taken)} time: both requests had the same idempotency key.")

    def decide_on_large_orders(self) -> None:
        self.head(f"Orders over {LARGE:,} wait for a manager, and hold no worker meanwhile")
        halted = list(self.fulfilments().filter(status=ExecutionStatus.HALTED))
        for execution in halted[:SHOWN]:
            self.say(f"  {execution.halt_data['prompt']}: {explain(execution.id)}")
        if len(halted) > SHOWN:
            self.say(f"  ... and {len(halted) - SHOWN} more")
        if halted:
            self.show_who_may_not(halted[0])
        halted.sort(key=lambda execution: execution.ctx["validate"]["total"])
        approved = halted[: len(halted) - len(halted) // REJECTED]
        for execution in halted:
            if execution in approved:
                resume(execution.id, approved=True, by=self.manager)
            else:
                resume(execution.id, approved=False, response="too much at once", by=self.manager)
        self.say(f"  maria approves {len(approved)} and rejects {len(halted) - len(approved)}.")

    def show_who_may_not(self, execution: WorkflowExecution) -> None:
        try:
            resume(execution.id, approved=True, by=self.requester)
        except NotAllowed as error:
            self.say(f"  robin tries to approve it. NotAllowed: {error}")
        else:
            raise AssertionError("Who asked for an order must not approve it.")

    def repair_what_failed(self) -> None:
        self.head("What fails is undone, says why, and can go on once its cause is gone")
        failed = list(self.fulfilments().filter(status=ExecutionStatus.FAILED))
        self.told = failed[0] if failed else None
        for execution in failed[:SHOWN]:
            undone = execution.entries.filter(action="compensated")
            self.say(f"  {_order(execution)}: {explain(execution.id)}")
            self.say(f"    undone since then: {', '.join(entry.step_id for entry in undone)}")
        if not failed:
            self.say("  Nothing has failed.")
        else:
            ClosedRoute.objects.all().delete()
            self.say(f"  The strike is over. maria retries {len(failed)} from `reserve`:")
        for execution in failed:
            retry(execution.id, from_step="reserve", by=self.manager)
        for execution in failed[:SHOWN]:
            self.say(f"  {_order(execution)}: {explain(execution.id)}")

    def run_a_document(self) -> None:
        self.head("A workflow can be a YAML document: shop/reorder.yaml")
        emptiest = Product.objects.order_by("stock", "name").first()
        if emptiest is not None:
            result = run("reorder", {"product": emptiest.name, "quantity": 5}).raise_for_status()
            self.say(f"  {result.output}")

    def tell_history(self) -> None:
        told = self.told or self.fulfilments().last()
        if told is None:
            return
        self.head(f"The history of {_order(told)}, execution {told.id}")
        columns = ["step", "what", "attempt", "ms", "by", "error"]
        rows = [
            (
                entry.step_id,
                entry.action,
                entry.attempt,
                "" if entry.duration_ms is None else entry.duration_ms,
                entry.by or "",
                entry.error or "",
            )
            for entry in told.entries.all()
        ]
        self.say(table(columns, rows))

    def sum_up(self) -> None:
        self.head("Orders by outcome")
        entries = WorkflowEntry.objects.filter(action="completed", step_id__in=WAYS_TO_REFUSAL)
        refused = entries.order_by("step_id").values_list("step_id").annotate(Count("execution"))
        shipped = Order.objects.filter(status=Order.Status.SHIPPED).count()
        reasons = [(f"refused: {step.replace('_', ' ')}", number) for step, number in refused]
        if self.read.left_out:
            reasons.append(("left out of the import", len(self.read.left_out)))
        self.say(table(["outcome", "orders"], [("shipped", shipped), *reasons]))
        self.head("Executions by status")
        counted = WorkflowExecution.objects.order_by("workflow_id", "status").values_list(
            "workflow_id", "status"
        )
        self.say(table(["workflow", "status", "executions"], counted.annotate(Count("pk"))))
        steps = WorkflowEntry.objects.filter(action__in=["completed", "compensated"]).count()
        self.say(f"\n  Steps run: {steps:,}. Time: {time.monotonic() - self.began:.1f} s.")

    def check(self) -> bool:
        self.head("Checked")
        wrong = 0
        for looked_for, exceptions in audit.findings(payments.charges()):
            wrong += bool(exceptions)
            self.say(verdict(looked_for, exceptions))
        return not wrong

    # Helpers ------------------------------------------------------------------------------------

    def fulfilments(self) -> QuerySet[WorkflowExecution]:
        return WorkflowExecution.objects.filter(workflow_id=OrderFulfilment.id).order_by("pk")

    def environment(self) -> dict[str, str]:
        """Return what another process of this shop needs to know."""
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SHOP_DATABASE": str(settings.DATABASES["default"]["NAME"]),
            "SHOP_PAYMENTS_URL": settings.PAYMENTS_URL,
            "SHOP_ADAPTER": "inline",
            "SHOP_LEASE": "1",
        }


def _order(execution: WorkflowExecution) -> Order:
    return Order.objects.get(pk=execution.input["order_id"])
