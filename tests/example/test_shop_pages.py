"""The shop's own pages: who sees what of an order's workflows, and may do what."""

import re
from datetime import timedelta

import pytest
from django.apps import apps
from django.urls import reverse
from shop.fulfilment import executions_of, fulfil
from shop.models import Order
from shop.people import hire_admin, hire_clerk, hire_manager

from django_workflows.links import mail
from django_workflows.models import WorkflowExecution
from django_workflows.supervisor import sweep
from django_workflows.testing import travel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("config.urls")]


@pytest.fixture
def clerk(db):
    return hire_clerk("robin")


@pytest.fixture
def maria(db):
    return hire_manager("maria")


@pytest.fixture
def waiting(ledger, stocked, ordered, clerk):
    """A large order that waits for a manager."""
    stocked("Lamp", 5)
    order = ordered("A1", ("Lamp", 1, "1500.00"))
    fulfil(order, by=clerk)
    return order


def wait_of(order):
    return executions_of(order).get().waits.get()


def decide(client, order, **data):
    url = reverse("shop:decide", args=[order.pk, wait_of(order).pk])
    return client.post(url, data, follow=True)


def test_a_manager_is_offered_the_decision_and_the_graph(client, waiting, maria):
    client.force_login(maria)

    shown = client.get(waiting.get_absolute_url()).content.decode()

    assert "Order A1 of Ann is over 1,000: 1500.00" in shown
    assert reverse("shop:decide", args=[waiting.pk, wait_of(waiting).pk]) in shown
    assert "<svg" in shown
    admin_page = "admin:django_workflows_workflowexecution_change"
    assert reverse(admin_page, args=[executions_of(waiting).get().pk]) in shown


def test_who_may_not_view_executions_sees_what_they_wait_for_only(client, waiting, clerk):
    client.force_login(hire_clerk("lee"))

    shown = client.get(waiting.get_absolute_url()).content.decode()

    assert "wf-status-halted" in shown
    assert "for an approval by group managers" not in shown
    assert "it asks group:managers" in shown
    assert "<svg" not in shown
    assert "Approve" not in shown


@pytest.mark.parametrize(
    ("decision", "comment", "status", "said"),
    [
        ("approve", "", Order.Status.SHIPPED, "It is approved."),
        ("reject", "too much", Order.Status.REFUSED, "It is rejected."),
    ],
)
def test_a_manager_decides(client, waiting, maria, decision, comment, status, said):
    client.force_login(maria)

    response = decide(client, waiting, decision=decision, comment=comment)

    waiting.refresh_from_db()
    assert waiting.status == status
    assert comment in waiting.refusal
    assert said in response.content.decode()


def test_a_decision_has_to_be_one(client, waiting, maria):
    client.force_login(maria)

    response = decide(client, waiting, decision="perhaps")

    assert "Say what you decide" in response.content.decode()
    assert executions_of(waiting).get().status == "halted"


def test_who_is_not_asked_is_told_so_and_nothing_changes(client, waiting, clerk):
    client.force_login(clerk)

    response = decide(client, waiting, decision="approve")

    assert "robin may not decide" in response.content.decode()
    assert executions_of(waiting).get().status == "halted"


def test_the_second_of_two_managers_is_told_who_was_first(client, waiting, maria):
    client.force_login(maria)
    url = reverse("shop:decide", args=[waiting.pk, wait_of(waiting).pk])
    client.post(url, {"decision": "approve"})
    client.force_login(hire_manager("li"))

    late = {"decision": "reject", "comment": "too dear"}
    response = client.post(url, late, follow=True)

    *_others, said = map(str, response.context["messages"])
    assert said.startswith("Order A1 of Ann is over 1,000: 1500.00: maria has decided on ")
    assert said.endswith(" already. Nothing was changed. You wrote: too dear")
    waiting.refresh_from_db()
    assert waiting.status == Order.Status.SHIPPED


def test_the_error_of_an_execution_is_told_to_who_may_view_it(client, waiting, maria):
    executions_of(waiting).update(status="failed", error="RuntimeError: the till is empty")

    for person, is_told in [(hire_clerk("lee"), False), (maria, True)]:
        client.force_login(person)
        shown = client.get(waiting.get_absolute_url()).content.decode()
        assert ("the till is empty" in shown) is is_told


def test_a_decision_that_comes_after_the_deadline_is_told_without_a_name(client, waiting, maria):
    wait = wait_of(waiting)
    with travel(timedelta(days=3)):
        sweep()
    client.force_login(maria)

    url = reverse("shop:decide", args=[waiting.pk, wait.pk])
    response = client.post(url, {"decision": "reject"}, follow=True)

    [said] = map(str, response.context["messages"])
    assert said.startswith("Order A1 of Ann is over 1,000: 1500.00: It was decided on ")
    assert said.endswith(" already. Nothing was changed.")


def test_a_return_is_asked_for_by_the_number_of_the_order(client, ordered, maria):
    order = ordered("A7")
    Order.objects.filter(pk=order.pk).update(status=Order.Status.SHIPPED)
    client.force_login(maria)

    client.post(reverse("shop:return", args=[order.pk]), {"reason": "broken"})

    assert wait_of(order).prompt == "Order A7 is to be returned: broken"


def test_the_api_leads_to_its_docs(client):
    assert client.get("/api/").url == "/api/docs/"


def test_an_approval_belongs_to_its_order(client, waiting, maria, ordered):
    client.force_login(maria)
    elsewhere = reverse("shop:decide", args=[ordered("B2").pk, wait_of(waiting).pk])

    assert client.post(elsewhere, {"decision": "approve"}).status_code == 404


def test_an_admin_has_an_order_fulfilled_with_a_button_that_is_gone_then(
    client, stocked, ordered, ledger
):
    stocked("Lamp", 5)
    order = ordered("A1", ("Lamp", 1, "10.00"))
    client.force_login(hire_admin("admin"))
    assert b"Fulfil this order" in client.get(order.get_absolute_url()).content

    response = client.post(reverse("shop:fulfil", args=[order.pk]), follow=True)

    assert "order A1 is being fulfilled." in response.content.decode()
    assert b"Fulfil this order" not in response.content
    order.refresh_from_db()
    assert order.status == Order.Status.SHIPPED


def test_who_may_not_start_is_offered_no_button_and_told_why(client, ordered, clerk):
    order = ordered("A1")
    client.force_login(clerk)
    assert b"Fulfil this order" not in client.get(order.get_absolute_url()).content

    response = client.post(reverse("shop:fulfil", args=[order.pk]), follow=True)

    assert "robin may not start order_fulfilment" in response.content.decode()
    assert not WorkflowExecution.objects.exists()


def test_the_part_that_changes_can_be_had_alone(client, waiting, maria):
    client.force_login(maria)

    part = client.get(waiting.get_absolute_url(), {"live": 1}).content.decode()

    assert "<html" not in part
    assert "over 1,000" in part


def test_the_list_says_how_far_each_order_has_come(client, waiting, ordered, clerk):
    ordered("B2")
    client.force_login(clerk)

    shown = client.get(reverse("shop:orders")).content.decode()

    assert "wf-status-halted" in shown
    assert "not begun" in shown


def test_everybody_logs_in_and_out_on_the_shops_page(client, clerk):
    login = reverse("shop:login")
    assert client.get(login).status_code == 200

    response = client.post(login, {"username": "robin", "password": "robin"})

    assert response.status_code == 302
    assert client.post(reverse("shop:logout")).url == reverse("shop:orders")


def test_where_the_shop_has_an_address_managers_are_mailed_links_to_decide_by(
    client, stocked, ordered, clerk, maria, settings, mailoutbox
):
    settings.SITE_URL = "https://shop.example.com"
    apps.get_app_config("shop").ready()
    try:
        stocked("Lamp", 5)
        fulfil(ordered("A1", ("Lamp", 1, "1500.00")), by=clerk)
    finally:
        mail.disconnect()

    (sent,) = mailoutbox
    assert sent.to == ["maria@example.com"]
    (approve, *_others) = re.findall(r"https://shop\.example\.com(\S+)", sent.body)
    assert b"Order A1 of Ann is over 1,000" in client.get(approve).content
