"""A page follows what happens, without being loaded again."""

import pytest
from django.urls import reverse
from shop.fulfilment import executions_of, fulfil

from django_workflows import resume

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def waiting(ordered, people):
    """A large order that waits for a manager."""
    order = ordered("A1", price="1500.00")
    fulfil(order, by=people["robin"])
    return order


def decide(order, people):
    resume(executions_of(order).get().pk, approved=True, by=people["maria"])


def stays(visitor):
    """Mark the page; return a function that says whether it is still the same one."""
    visitor.driver.execute_script("window.isTheSame = true")
    return lambda: visitor.driver.execute_script("return window.isTheSame === true")


def place_of(visitor, selector):
    """Return how far below the window's upper edge an element is, in pixels."""
    script = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    return visitor.driver.execute_script(script, selector)


def test_the_page_of_an_execution_follows_it_and_does_not_jump(visitor, waiting, people):
    page = "admin:django_workflows_workflowexecution_change"
    visitor.log_in("admin")
    visitor.visit(reverse(page, args=[executions_of(waiting).get().pk]))
    visitor.sees("for an approval by group managers")
    is_the_same = stays(visitor)
    visitor.press(visitor.find("#graph details summary"))
    visitor.press(visitor.find("#graph details td"))
    place = place_of(visitor, "#graph details")

    decide(waiting, people)

    visitor.sees("by maria")
    assert is_the_same()
    assert place_of(visitor, "#graph details") == pytest.approx(place, abs=2)
    assert visitor.find("#graph details").get_attribute("open")


def test_what_is_being_typed_stays(visitor, waiting, people):
    visitor.log_in("maria")
    visitor.visit(waiting.get_absolute_url())
    is_the_same = stays(visitor)
    visitor.type("Comment", "I am still think")

    decide(waiting, people)

    visitor.sees("shipped")
    assert is_the_same()
    assert visitor.field("Comment").get_attribute("value") == "I am still think"


def test_the_dashboard_counts_on(visitor, waiting, people):
    visitor.log_in("admin")
    visitor.visit(reverse("admin:django_workflows_dashboard"))
    tile = ".wf-tile.wf-status-completed strong"
    assert visitor.find(tile).text == "0"
    is_the_same = stays(visitor)

    decide(waiting, people)

    visitor.until(lambda: visitor.find(tile).text == "1")
    assert is_the_same()


def test_the_shops_page_follows_too(visitor, waiting, people):
    visitor.log_in("robin")
    visitor.visit(waiting.get_absolute_url())
    visitor.sees("it asks group:managers")
    is_the_same = stays(visitor)

    decide(waiting, people)

    visitor.sees("shipped", "completed")
    assert is_the_same()
