from dataclasses import dataclass

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from shop.admin import OrderAdmin
from shop.models import Order

from django_workflows import api
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.steps import Approval, Halt

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def workflows(registered, monkeypatch):
    @dataclass
    class Input:
        order_id: int
        reason: str

    registered("ask", ask=Approval(f"Really? {SCRIPT}", approvers=["user:amy"]))
    registered("back", Input=Input, pause=Halt("wait"))
    starts = {"ask": lambda order: {"n": order.pk}, "back": lambda order: {"order_id": order.pk}}
    monkeypatch.setattr(OrderAdmin, "workflow_start", {**starts, "no_such": None, "back2": None})
    registered("back2", Input=Input, pause=Halt("wait"))


@pytest.fixture
def order():
    return Order.objects.create(number="7", customer=SCRIPT, country="DE")


@pytest.fixture
def shopkeeper(person):
    """Make somebody who may see orders as well."""

    def make(name, *actions, sees_orders=True):
        user = person(name, *actions)
        if sees_orders:
            user.user_permissions.add(Permission.objects.get(codename="view_order"))
        return user

    return make


def url_of(order):
    return reverse("admin:shop_order_change", args=[order.pk])


def start_url(order, workflow):
    return reverse("admin:shop_order_start_workflow", args=[order.pk, workflow])


def test_page_shows_executions_of_the_object_that_one_may_view(client, shopkeeper, order, page_of):
    about, other = api.start("ask", subject=order), api.start("ask")
    shopkeeper("vic", "view")

    page = client.get(url_of(order)).content.decode()

    assert page_of(about) in page
    assert page_of(other) not in page
    assert "waiting at ask for an approval by user amy" in page
    assert "Approve" not in page
    assert "start-workflow" not in page
    assert SCRIPT not in page


def test_many_executions_lead_to_the_list(client, shopkeeper, order, list_url):
    for _ in range(6):
        api.start("ask", subject=order)
    shopkeeper("vic", "view")

    answer = client.get(url_of(order))

    assert len(answer.context["workflow_panel"]["executions"]) == 5
    assert f"{list_url}?q=shop.order%3A{order.pk}" in answer.content.decode()


def test_approver_decides_there_and_comes_back(client, shopkeeper, order):
    execution = api.start("ask", subject=order)
    wait = WorkflowWait.objects.get(execution=execution.id)
    shopkeeper("amy")
    page = client.get(url_of(order)).content.decode()
    assert f'name="wait" value="{wait.pk}"' in page
    assert SCRIPT not in page

    answer = client.post(
        reverse("admin:django_workflows_inbox"),
        {"wait": wait.pk, "decision": "approve", "next": url_of(order)},
    )

    assert answer["Location"] == url_of(order)
    assert api.get(execution.id).ctx["ask"]["by"] == "amy"


def test_start_button_starts_it_for_the_object_once(client, shopkeeper, order, page_of):
    shopkeeper("sam", "start")
    starts = client.get(url_of(order)).context["workflow_panel"]["starts"]
    ticket = starts[0]["ticket"]

    first = client.post(start_url(order, "ask"), {"ticket": ticket})
    client.post(start_url(order, "ask"), {"ticket": ticket})

    (row,) = WorkflowExecution.objects.all()
    assert first["Location"] == page_of(row)
    assert row.subject == f"shop.order:{order.pk}"
    assert row.input == {"n": order.pk}
    assert row.started_by == "sam"
    assert [start["title"] for start in starts] == ["Ask", "Back", "Back2"]


def test_start_that_needs_more_leads_to_the_form_filled_in(client, shopkeeper, order):
    shopkeeper("sam", "start")

    answer = client.post(start_url(order, "back"), follow=True)

    page = answer.content.decode()
    assert "reason: Missing required argument" in page or "reason" in page
    assert f'name="input-order_id" value="{order.pk}"' in page
    assert f'value="shop.order:{order.pk}"' in page
    assert not WorkflowExecution.objects.exists()


def test_start_without_a_function_is_a_link_to_the_form(client, shopkeeper, order):
    shopkeeper("sam", "start")

    (form,) = [
        start["form_url"]
        for start in client.get(url_of(order)).context["workflow_panel"]["starts"]
        if start["form_url"]
    ]

    assert form.startswith(reverse("admin:django_workflows_start", args=["back2"]))
    assert client.get(form).status_code == 200
    assert client.post(start_url(order, "back2")).status_code == 404


def test_start_needs_its_permission_the_object_and_a_post(client, shopkeeper, order):
    shopkeeper("vic", "view")
    assert client.post(start_url(order, "ask")).status_code == 403

    shopkeeper("ann", "start", sees_orders=False)
    assert client.post(start_url(order, "ask")).status_code == 403

    shopkeeper("sam", "start")
    assert client.get(start_url(order, "ask")).status_code == 405
    assert client.post(start_url(Order(pk=99), "ask")).status_code == 404
    assert client.post(start_url(order, "no_such")).status_code == 404
    assert not WorkflowExecution.objects.exists()


def test_page_of_a_new_object_has_no_panel(admin_client):
    answer = admin_client.get(reverse("admin:shop_order_add"))

    assert answer.status_code == 200
    assert "wf-panel" not in answer.content.decode()
