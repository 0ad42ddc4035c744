"""Every page as it looks on a busy day: light, dark, and on a small screen; with pictures."""

import io

import pytest
from django.core.management.base import OutputWrapper
from django.urls import reverse
from shop.models import Order
from shop.opening import Opening

from django_workflows.models import WorkflowExecution

pytestmark = pytest.mark.django_db(transaction=True)

#: A small screen, in pixels.
SMALL = (400, 800)

#: Which pages have a picture in dark colours, and which on a small screen.
IN_DARK = {"dashboard", "execution-waiting"}
ON_SMALL = {"dashboard", "executions", "execution-failed", "inbox", "shop-order"}


@pytest.fixture
def busy(people):
    """A day of orders, in every state."""
    Opening(OutputWrapper(io.StringIO())).fill()


def newest(**fields):
    return WorkflowExecution.objects.filter(**fields).first()


def execution_page(**fields):
    page = "admin:django_workflows_workflowexecution_change"
    return reverse(page, args=[newest(**fields).pk])


def pages():
    """Yield the name of each page, its path, and what is to be read there."""
    admin = "admin:django_workflows_"
    waiting = newest(workflow_id="order_fulfilment", status="halted")
    order = Order.objects.get(pk=waiting.input["order_id"])
    yield "shop-orders", reverse("shop:orders"), "Orders"
    yield "shop-order", order.get_absolute_url(), "over 1,000"
    yield "dashboard", reverse(f"{admin}dashboard"), "The last 24 hours"
    yield "executions", reverse(f"{admin}workflowexecution_changelist"), "order_fulfilment"
    yield "execution-waiting", execution_page(pk=waiting.pk), "over 1,000"
    yield "execution-failed", execution_page(status="failed"), "Traceback"
    yield "execution-completed", execution_page(status="completed"), "Timeline"
    yield "inbox", reverse(f"{admin}inbox"), "decisions wait for you"
    yield "failures", reverse(f"{admin}failures"), "RouteClosed"
    yield "workflows", reverse(f"{admin}workflows"), "Start…"
    yield "workflow", reverse(f"{admin}workflow", args=["order_fulfilment"]), "P95"
    yield "start", reverse(f"{admin}start", args=["order_fulfilment"]), "Order Id"
    yield "events", reverse(f"{admin}events"), "What waits for an event"
    yield "order-admin", reverse("admin:shop_order_change", args=[order.pk]), "Workflows"
    yield "admin", reverse("admin:index"), "Executions"


@pytest.fixture
def visitor(visitor, busy, people):
    """Somebody who may do everything, so that every page has all that it can show."""
    people["admin"].groups.set(people["maria"].groups.all())
    visitor.log_in("admin")
    return visitor


def test_every_page_in_light_colours(visitor):
    for name, path, said in pages():
        visitor.visit(path)
        visitor.sees(said)
        assert visitor.overflow() == 0, name
        assert visitor.pale() == [], name
        visitor.picture(name)


def test_every_page_in_dark_colours_is_dark_and_readable(visitor):
    visitor.prefer("dark")
    for name, path, said in pages():
        visitor.visit(path)
        visitor.sees(said)
        assert visitor.is_dark(), name
        assert visitor.pale() == [], name
        if name in IN_DARK:
            visitor.picture(f"{name}-dark")


def test_every_page_on_a_small_screen_is_no_wider_than_it(visitor):
    visitor.window(*SMALL)
    for name, path, said in pages():
        visitor.visit(path)
        visitor.sees(said)
        assert visitor.overflow() == 0, name
        if name in ON_SMALL:
            visitor.picture(f"{name}-small", most=1600)


def test_a_wide_graph_shows_where_the_execution_stands(visitor):
    visitor.window(*SMALL)
    visitor.visit(execution_page(status="failed"))
    script = """
        const box = document.querySelector("#graph .wf-picture").getBoundingClientRect();
        const step = document.querySelector("#graph [data-mark=failed]").getBoundingClientRect();
        return [step.left - box.left, box.right - step.right];
    """

    left, right = visitor.driver.execute_script(script)

    assert left > 0
    assert right > 0


def test_the_chart_opens_at_its_newest_hours(visitor):
    visitor.window(*SMALL)
    visitor.visit(reverse("admin:django_workflows_dashboard"))
    script = """
        const box = document.querySelector("[data-opens=end]");
        return [box.scrollLeft, box.scrollWidth - box.clientWidth];
    """

    place, end = visitor.driver.execute_script(script)

    assert end > 0
    assert place == pytest.approx(end, abs=1)


def test_what_an_execution_waited_for_fits_a_small_screen(visitor):
    visitor.window(*SMALL)
    visitor.visit(execution_page(workflow_id="order_fulfilment", waits__status="taken"))
    script = """
        const box = document.querySelector("#waits .wf-scroll");
        return box.scrollWidth - box.clientWidth;
    """

    assert visitor.driver.execute_script(script) <= 0


def test_the_panel_of_an_object_stands_below_its_title(visitor):
    """From Django 6.1 on both are in one row, if nothing is done about it."""
    visitor.visit(reverse("admin:shop_order_change", args=[Order.objects.first().pk]))
    script = """
        const place = (selector) => document.querySelector(selector).getBoundingClientRect();
        const [panel, title, content] = [".wf-panel", "#content h1", "#content"].map(place);
        return [panel.top - title.bottom, panel.width / content.width];
    """

    below, share = visitor.driver.execute_script(script)

    assert below >= 0
    assert share > 0.9


def test_the_page_of_the_api(visitor):
    visitor.visit(reverse("swagger"))

    visitor.sees("/api/executions/")
    visitor.picture("api", most=1600)
