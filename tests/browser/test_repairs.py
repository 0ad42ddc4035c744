"""What failed is found, and retried: one from its page, many after a preview."""

import pytest
from django.urls import reverse
from selenium.webdriver.support.select import Select
from shop.fulfilment import executions_of, fulfil
from shop.models import ClosedRoute, Order, Product

from django_workflows import cancel, start
from django_workflows.models import WorkflowExecution

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:django_workflows_workflowexecution_changelist"


def statuses():
    return sorted(WorkflowExecution.objects.values_list("status", flat=True))


def test_a_failure_is_retried_from_its_page(visitor, ordered, people):
    strike = ClosedRoute.objects.create(country="FI", reason="the ferry is frozen in")
    order = ordered("A1", country="FI")
    fulfil(order, by=people["robin"])

    visitor.log_in("maria")
    visitor.visit(reverse("admin:django_workflows_failures"))
    visitor.click("RouteClosed: Nothing goes to FI: the ferry is frozen in")
    visitor.sees("1 execution fails like this.")
    visitor.click(executions_of(order).get().pk)
    visitor.sees("failed at ship", "Traceback")

    strike.delete()
    visitor.click("Retry…")
    Select(visitor.field("From step")).select_by_visible_text("reserve")
    visitor.type("Reason", "the ferry goes again")
    visitor.click("Retry", within=".wf-action[open]")

    visitor.sees("Retried: it is completed now.", "by maria")
    order.refresh_from_db()
    assert order.status == Order.Status.SHIPPED


def test_all_failures_of_a_kind_are_retried_after_a_preview(visitor, people):
    for quantity in (1, 2, 3):
        start("reorder", {"product": "Lamp", "quantity": quantity}, by=people["robin"])
    assert statuses() == ["failed"] * 3

    visitor.log_in("maria")
    visitor.visit(reverse("admin:django_workflows_failures"))
    visitor.click("Retry…")
    visitor.sees("3 executions", "Product matching query does not exist")
    visitor.picture("bulk-preview")
    assert statuses() == ["failed"] * 3  # a preview changes nothing

    Product.objects.create(name="Lamp", unit_price=10)
    visitor.type("Reason, for the history", "it is in the catalogue now")
    visitor.click("Retry 3")

    visitor.sees("3 done, 0 not.", "They are now: 3")
    visitor.picture("bulk-results")
    assert statuses() == ["completed"] * 3
    assert Product.objects.get().stock == 6


def test_chosen_approvals_are_decided_after_a_preview(visitor, ordered, people):
    for number in ("A1", "A2", "A3"):
        fulfil(ordered(number, price="1500.00"), by=people["robin"])

    visitor.log_in("maria")
    visitor.visit(reverse(LIST))
    for box in visitor.all("input.action-select")[:2]:
        visitor.press(box)
    Select(visitor.find("select[name=action]")).select_by_visible_text("Approve")
    visitor.press(visitor.find("[name=index]"))
    visitor.sees("2 approvals wait for you", "Order A3", "Order A2")
    visitor.click("Approve 2")

    visitor.sees("2 done, 0 not.")
    shipped = Order.objects.filter(status=Order.Status.SHIPPED).values_list("number", flat=True)
    assert set(shipped) == {"A2", "A3"}


def test_what_changed_since_the_preview_is_left_as_it_is_and_said(visitor, ordered, people):
    for number in ("A1", "A2"):
        fulfil(ordered(number, price="1500.00"), by=people["robin"])

    visitor.log_in("maria")
    visitor.visit(reverse(LIST))
    visitor.press(visitor.find("#action-toggle"))
    Select(visitor.find("select[name=action]")).select_by_visible_text("Cancel executions")
    visitor.press(visitor.find("[name=index]"))
    visitor.sees("2 executions")
    cancel(executions_of(Order.objects.get(number="A1")).get().pk, by=people["admin"])
    visitor.type("Reason, for the history", "the customer thought better of it")
    visitor.click("Cancel 2")

    visitor.sees("1 done, 1 not.", "Left as it is. It was halted, and is cancelled.")
