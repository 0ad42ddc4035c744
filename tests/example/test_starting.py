"""The three ways in which the shop starts a workflow: a view, a signal, the shell."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.urls import reverse
from shop.fulfilment import executions_of, fulfil
from shop.models import Notification, Order, Product, Shipment
from shop.people import hire_manager

from django_workflows import explain, resume, run, send_event
from django_workflows.models import WorkflowExecution
from django_workflows.supervisor import sweep
from django_workflows.testing import travel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("config.urls")]


@pytest.fixture
def shipped(ledger, stocked, ordered):
    stocked("Lamp", 5)
    order = ordered("A1", ("Lamp", 2, "10.00"))
    fulfil(order)
    order.refresh_from_db()
    assert order.status == Order.Status.SHIPPED
    return order


def execution_of(order, workflow_id):
    return executions_of(order).get(workflow_id=workflow_id)


# The shell --------------------------------------------------------------------------------------


def test_from_the_shell_an_order_is_fulfilled_once_however_often_it_is_asked(shipped):
    first = fulfil(shipped)
    second = fulfil(shipped)

    assert first.id == second.id
    assert shipped.shipments.count() == 1


# A signal ---------------------------------------------------------------------------------------


def test_a_shipment_starts_its_notice_which_asks_for_a_review_two_weeks_later(ordered):
    order = ordered("A1")
    Shipment.objects.create(order=order, number="S-A1")

    notice = execution_of(order, "shipment_notice")
    assert explain(notice.id).startswith("sleeping at give_it_time")
    assert [str(sent) for sent in Notification.objects.all()] == ["Your order is on its way, Ann."]
    with travel(timedelta(days=15)):
        sweep()

    notice.refresh_from_db()
    assert notice.status == "completed"
    assert str(Notification.objects.last()) == "How do you like it, Ann?"


def test_a_shipment_that_is_rolled_back_starts_nothing(ordered):
    order = ordered("A1")

    with transaction.atomic():
        Shipment.objects.create(order=order, number="S-A1")
        transaction.set_rollback(True)

    assert not WorkflowExecution.objects.exists()
    assert not Notification.objects.exists()


def test_saving_a_shipment_again_starts_nothing_more(ordered):
    shipment = Shipment.objects.create(order=ordered("A1"), number="S-A1")
    shipment.save()

    assert WorkflowExecution.objects.count() == 1


# A view -----------------------------------------------------------------------------------------


def test_from_a_view_a_return_is_requested_approved_received_and_refunded(
    client, requester, manager, shipped, ledger
):
    client.force_login(requester)
    response = client.post(reverse("shop:return", args=[shipped.pk]), {"reason": "too bright"})

    assert response.status_code == 302
    execution = execution_of(shipped, "return_of_goods")
    assert execution.started_by == "robin"
    assert "for an approval by group managers" in explain(execution.id)
    resume(execution.id, approved=True, by=manager)
    assert "waiting at parcel for the event" in explain(execution.id)
    send_event("parcel.returned", key=shipped.pk, data={"damaged": False})

    execution.refresh_from_db()
    shipped.refresh_from_db()
    assert execution.result == {"outcome": "returned", "refund": "20.00 were refunded."}
    assert shipped.status == Order.Status.RETURNED
    assert Product.objects.get().stock == 5
    assert [charge["status"] for charge in ledger.charges.values()] == ["refunded"]


@pytest.fixture
def returning(client, requester, shipped):
    client.force_login(requester)
    client.post(reverse("shop:return", args=[shipped.pk]))
    return execution_of(shipped, "return_of_goods")


def test_a_return_that_a_manager_declines_gives_no_money_back(returning, manager, ledger):
    resume(returning.id, approved=False, by=manager)

    returning.refresh_from_db()
    assert returning.result == {"outcome": "declined"}
    assert [charge["status"] for charge in ledger.charges.values()] == ["paid"]


def test_what_comes_back_damaged_gives_no_money_back(returning, manager, shipped, ledger):
    resume(returning.id, approved=True, by=manager)
    send_event("parcel.returned", key=shipped.pk, data={"damaged": True})

    returning.refresh_from_db()
    assert returning.result == {"outcome": "declined"}
    assert [charge["status"] for charge in ledger.charges.values()] == ["paid"]


def test_what_never_comes_back_gives_no_money_back(returning, manager, ledger):
    resume(returning.id, approved=True, by=manager)
    with travel(timedelta(days=31)):
        sweep()

    returning.refresh_from_db()
    assert returning.result == {"outcome": "expired"}
    assert [charge["status"] for charge in ledger.charges.values()] == ["paid"]


def test_the_button_pressed_twice_requests_one_return(client, requester, shipped):
    client.force_login(requester)

    client.post(reverse("shop:return", args=[shipped.pk]))
    client.post(reverse("shop:return", args=[shipped.pk]))

    assert execution_of(shipped, "return_of_goods")


def test_what_was_not_shipped_cannot_be_returned(client, requester, ordered):
    client.force_login(requester)

    response = client.post(reverse("shop:return", args=[ordered("A1").pk]), follow=True)

    assert b"order A1 is new, and so cannot come back." in response.content
    assert not WorkflowExecution.objects.exists()


def test_a_return_is_requested_by_post_and_by_somebody_who_is_logged_in(client, requester, ordered):
    url = reverse("shop:return", args=[ordered("A1").pk])

    assert client.post(url).status_code == 302
    client.force_login(requester)
    assert client.get(url).status_code == 405
    assert client.post(reverse("shop:return", args=[77])).status_code == 404


def test_the_pages_show_each_order_and_why_its_workflows_are_where_they_are(client, shipped):
    client.force_login(hire_manager("maria"))

    assert b"A1" in client.get(reverse("shop:orders")).content
    assert b"sleeping at give_it_time" in client.get(shipped.get_absolute_url()).content


# A document -------------------------------------------------------------------------------------


def test_a_small_reorder_is_done_at_once(stocked):
    stocked("Lamp", 1)

    result = run("reorder", {"product": "Lamp", "quantity": 5})

    assert result.output == {"product": "Lamp", "was": 1, "added": 5}
    assert Product.objects.get().stock == 6


@pytest.mark.parametrize(("approved", "stock"), [(True, 501), (False, 1)])
def test_a_large_reorder_waits_for_a_manager(stocked, manager, approved, stock):
    stocked("Lamp", 1)

    halted = run("reorder", {"product": "Lamp", "quantity": 500})
    resume(halted.execution_id, approved=approved, by=manager)

    assert halted.halt.prompt == "Order 500 of Lamp? There are 1."
    assert Product.objects.get().stock == stock
