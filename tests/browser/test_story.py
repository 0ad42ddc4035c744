"""The story of a large order: begun with the start form, decided in the inbox or by a link."""

import pytest
from django.urls import reverse
from shop.fulfilment import executions_of, fulfil
from shop.models import Order

from django_workflows.links import decision_url
from django_workflows.models import WorkflowExecution

pytestmark = pytest.mark.django_db(transaction=True)

INBOX = "admin:django_workflows_inbox"


def test_from_the_start_form_to_an_approval_in_the_inbox(visitor, ordered):
    order = ordered("A1", price="1500.00")

    visitor.log_in("admin")
    visitor.visit(reverse("admin:index"))
    visitor.click("Executions")
    visitor.click("Workflows", within=".wf-nav")
    visitor.click("OrderFulfilment", within="#content")
    visitor.click("Start…")
    visitor.type("Order Id", str(order.pk))
    visitor.click("Start", within="#content")
    visitor.sees(
        "Order A1 of Ann Berger is over 1,000: 1500.00", "for an approval by group managers"
    )
    visitor.sees_no("Approve")  # admin is no manager

    visitor.log_in("maria")
    visitor.visit(reverse(INBOX))
    visitor.sees("Order A1 of Ann Berger is over 1,000: 1500.00")
    visitor.type("Comment", "she pays")
    visitor.click("Approve")
    visitor.sees("Approved: Order A1 of Ann Berger", "Nothing waits for you.")
    visitor.press(visitor.find(".messagelist a"))

    visitor.sees("completed", "by maria", "she pays")
    order.refresh_from_db()
    assert order.status == Order.Status.SHIPPED


def test_what_is_wrong_in_the_start_form_is_said_at_its_field(visitor, people):
    visitor.log_in("admin")
    visitor.visit(reverse("admin:django_workflows_start", args=["order_fulfilment"]))

    visitor.click("Start", within="#content")

    visitor.sees("Please correct what is marked below.", "This field is required.")
    assert not WorkflowExecution.objects.exists()


def test_from_the_button_on_an_orders_page_in_the_admin(visitor, ordered):
    order = ordered("A1")

    visitor.log_in("admin")
    visitor.visit(reverse("admin:shop_order_change", args=[order.pk]))
    visitor.sees("No execution is about this.")
    visitor.click("Start OrderFulfilment")

    visitor.sees("completed", "order A1")
    assert executions_of(order).get(workflow_id="order_fulfilment").status == "completed"


def test_a_link_from_an_e_mail_decides_after_a_confirmation(visitor, ordered, people):
    order = ordered("A1", price="1500.00")
    fulfil(order, by=people["robin"])
    wait = executions_of(order).get().waits.get()

    visitor.visit(decision_url(wait, people["maria"], approved=True))
    visitor.sees("Order A1 of Ann Berger is over 1,000: 1500.00")
    visitor.picture("decision-link")
    assert visitor.overflow() == 0
    visitor.press(visitor.find("form button"))

    visitor.until(lambda: executions_of(order).filter(status="completed").exists())
    assert executions_of(order).filter(workflow_id="order_fulfilment", status="completed")
