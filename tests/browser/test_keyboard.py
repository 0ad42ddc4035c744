"""With the keyboard alone; whatever has the focus shows it."""

import pytest
from django.urls import reverse
from selenium.webdriver.common.keys import Keys
from shop.fulfilment import fulfil
from shop.models import ClosedRoute, Order

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def logged_in(visitor):
    """Log in without a mouse."""

    def logged_in(name):
        visitor.visit(reverse("shop:login"))
        visitor.tab_to("Username")
        visitor.key(name)
        visitor.tab_to("Password")
        visitor.key(name, Keys.ENTER)
        visitor.sees("Log out")

    return logged_in


def test_a_decision_in_the_inbox(visitor, ordered, people, logged_in):
    order = ordered("A1", price="1500.00")
    fulfil(order, by=people["robin"])

    logged_in("maria")
    visitor.tab_to("Administration")
    visitor.key(Keys.ENTER)
    visitor.tab_to("Executions")
    visitor.key(Keys.ENTER)
    visitor.sees("By status")
    visitor.tab_to("Inbox 1")
    visitor.key(Keys.ENTER)
    visitor.tab_to("Comment")
    visitor.key("from the keyboard")
    visitor.tab_to("Approve")
    visitor.key(Keys.ENTER)

    visitor.sees("Approved: Order A1")
    order.refresh_from_db()
    assert order.status == Order.Status.SHIPPED


def test_a_retry_with_its_folded_form(visitor, ordered, people, logged_in):
    strike = ClosedRoute.objects.create(country="FI", reason="the ferry is frozen in")
    order = ordered("A1", country="FI")
    execution = fulfil(order, by=people["robin"])
    strike.delete()

    logged_in("maria")
    visitor.visit(reverse("admin:django_workflows_workflowexecution_change", args=[execution.id]))
    visitor.tab_to("Retry…")
    visitor.key(Keys.ENTER)
    visitor.tab_to("From step")
    visitor.key("rese")  # as a list is used: its letters choose
    visitor.tab_to("Retry")
    visitor.key(Keys.ENTER)

    visitor.sees("Retried:", "completed")
