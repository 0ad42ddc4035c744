from datetime import timedelta
from threading import Barrier, Thread

import pytest
from django.db import connection
from shop.fulfilment import executions_of, fulfil
from shop.models import ClosedRoute, Notification, Order, Parcel, Product, Shipment
from shop.workflows import OrderFulfilment

from django_workflows import resume, retry
from django_workflows.exceptions import NotAllowed
from django_workflows.models import WorkflowExecution
from django_workflows.stores.orm import OrmStore
from django_workflows.supervisor import sweep
from django_workflows.testing import assert_crash_safe, fake_steps, taken_path, travel
from tests.example.test_payment_service import FINE, number_with

pytestmark = pytest.mark.django_db(transaction=True)

SMALL = ("Lamp", 2, "10.00")
LARGE = ("Lamp", 2, "600.00")


@pytest.fixture(autouse=True)
def lamps(ledger, stocked):
    return stocked("Lamp", 5)


def test_a_small_order_is_shipped_line_by_line(ordered, stocked, ledger):
    stocked("Rug", 1)
    order = ordered(FINE, SMALL, ("Rug", 1, "5.50"))

    result = OrderFulfilment.run(order_id=order.pk)

    parcels = ["2 x Lamp", "1 x Rug"]
    shipment = Shipment.objects.get(order=order)
    assert result.output == {
        "outcome": "shipped",
        "shipment": shipment.number,
        "parcels": parcels,
    }
    assert [str(parcel) for parcel in shipment.parcels.all()] == parcels
    assert [charge["amount"] for charge in ledger.charges.values()] == ["25.50"]
    assert Product.objects.get(name="Lamp").stock == 3


@pytest.mark.parametrize("mood", ["busy", "forgetful"])
def test_a_payment_service_that_fails_at_first_takes_the_money_once(ordered, ledger, mood):
    order = ordered(number_with(mood), SMALL)

    result = OrderFulfilment.run(order_id=order.pk)

    assert result.output["outcome"] == "shipped"
    assert len(ledger.charges) == 1
    history = WorkflowExecution.objects.get(pk=result.execution_id).entries.all()
    charging = [entry.action for entry in history if entry.step_id == "charge"]
    assert charging == ["retried", "completed"]


@pytest.mark.parametrize(
    ("lines", "customer", "reason"),
    [
        ([("Lump", 1, "1")], "Ann", "The shop has no Lump."),
        ([("Lamp", 0, "1")], "Ann", "None of Lamp was ordered."),
        ([("Lamp", 6, "1")], "Ann", "Not enough Lamp for 6."),
        ([("Lamp", 3, "1"), ("Lamp", 3, "1")], "Ann", "Not enough Lamp for 3."),
        ([("Lamp", 1, "1")], "Declan Kelly", "The card was declined."),
    ],
)
def test_a_refused_order_says_why_and_leaves_nothing_behind(
    ordered, ledger, lines, customer, reason
):
    order = ordered(FINE, *lines, customer=customer)

    result = OrderFulfilment.run(order_id=order.pk)

    order.refresh_from_db()
    assert result.output == {"outcome": "refused", "reason": reason}
    assert (order.status, order.refusal) == (Order.Status.REFUSED, reason)
    assert str(Notification.objects.get()) == f"We are sorry, {customer}: {reason}"
    assert not Shipment.objects.exists()
    assert not [charge for charge in ledger.charges.values() if charge["status"] == "paid"]
    assert Product.objects.get().stock == 5


def test_a_large_order_is_shipped_once_a_manager_approves(ordered, requester, manager):
    order = ordered(FINE, LARGE)
    execution = fulfil(order, by=requester)

    with pytest.raises(NotAllowed):
        resume(execution.id, approved=True, by=requester)
    assert not Shipment.objects.exists()
    resume(execution.id, approved=True, by=manager)

    assert Shipment.objects.get().order == order


def test_a_manager_may_not_approve_what_the_manager_ordered(ordered, manager):
    execution = fulfil(ordered(FINE, LARGE), by=manager)

    with pytest.raises(NotAllowed, match="maria started"):
        resume(execution.id, approved=True, by=manager)


def test_a_large_order_is_refused_where_a_manager_rejects(ordered, manager, ledger):
    order = ordered(FINE, LARGE)
    execution = fulfil(order)

    resume(execution.id, approved=False, response="too much", by=manager)

    order.refresh_from_db()
    assert order.refusal == "maria rejected it: too much"
    assert not ledger.charges


def test_a_large_order_is_refused_where_nobody_decides_in_time(ordered):
    order = ordered(FINE, LARGE)
    fulfil(order)

    with travel(timedelta(days=2, seconds=1)):
        sweep()

    order.refresh_from_db()
    assert order.refusal == "Nobody decided on it in time."


def test_what_cannot_be_shipped_is_refunded_and_charged_anew_when_it_can(ordered, ledger):
    ClosedRoute.objects.create(country="DE", reason="strike")
    order = ordered(FINE, SMALL)
    execution = fulfil(order)

    failed = executions_of(order).get(pk=execution.id)
    assert failed.error == "RouteClosed: Nothing goes to DE: strike"
    assert taken_path(failed.id)[-2:] == ["refund:charge", "release:reserve"]
    assert [charge["status"] for charge in ledger.charges.values()] == ["refunded"]
    assert Product.objects.get().stock == 5
    ClosedRoute.objects.all().delete()
    retry(failed.id, from_step="reserve")

    order.refresh_from_db()
    assert order.status == Order.Status.SHIPPED
    assert [charge["status"] for charge in ledger.charges.values()] == ["refunded", "paid"]
    assert Product.objects.get().stock == 3


def test_what_was_put_back_for_a_declined_card_is_not_put_back_again(ordered):
    order = ordered(FINE, SMALL, customer="Declan Kelly")

    with fake_steps(OrderFulfilment, refuse=RuntimeError("the letter got lost")):
        result = OrderFulfilment.run(order_id=order.pk)

    assert result.error == "RuntimeError: the letter got lost"
    assert "release:reserve" in taken_path(result.execution_id)
    assert Product.objects.get().stock == 5


def test_it_can_fail_and_be_retried_again_and_again(ordered, ledger):
    closed = ClosedRoute.objects.create(country="DE", reason="strike")
    execution = fulfil(ordered(FINE, SMALL))

    retry(execution.id, from_step="reserve")
    retry(execution.id, from_step="reserve")
    closed.delete()
    retry(execution.id, from_step="reserve")

    assert [charge["status"] for charge in ledger.charges.values()] == [*["refunded"] * 3, "paid"]
    assert Product.objects.get().stock == 3
    assert Shipment.objects.count() == 1


def test_orders_at_once_for_the_last_of_a_product_never_oversell(ordered, stocked):
    stocked("Rug", 1)
    orders = [ordered(f"{FINE}-{number}", ("Rug", 1, "1"), SMALL) for number in range(6)]

    at_once([lambda order=order: OrderFulfilment.run(order_id=order.pk) for order in orders])

    statuses = sorted(Order.objects.values_list("status", flat=True))
    assert statuses == ["refused"] * 5 + ["shipped"]
    assert Product.objects.get(name="Rug").stock == 0
    assert Product.objects.get(name="Lamp").stock == 3


def test_orders_at_once_that_want_the_same_products_the_other_way_round_are_all_shipped(
    ordered, stocked
):
    stocked("Rug", 100)
    stocked("Chair", 100)
    lines = [("Rug", 1, "1"), ("Chair", 1, "1")]
    orders = [
        ordered(f"{FINE}-{number}", *(lines if number % 2 else reversed(lines)))
        for number in range(6)
    ]

    at_once([lambda order=order: OrderFulfilment.run(order_id=order.pk) for order in orders])

    assert set(Order.objects.values_list("status", flat=True)) == {"shipped"}
    assert Product.objects.get(name="Rug").stock == 94


def test_it_may_be_killed_anywhere_and_ends_the_same(ledger):
    def set_up():
        WorkflowExecution.objects.all().delete()
        Order.objects.all().delete()
        Product.objects.update(stock=5)
        ledger.charges.clear()
        order = Order.objects.create(pk=1, number=FINE, customer="Ann", country="DE")
        order.lines.create(product="Lamp", quantity=2, unit_price="600.00")

    def left_behind():
        charges = [(charge["amount"], charge["status"]) for charge in ledger.charges.values()]
        parcels = [str(parcel) for parcel in Parcel.objects.all()]
        return (Product.objects.get().stock, Shipment.objects.count(), parcels, charges)

    report = assert_crash_safe(
        OrderFulfilment, {"order_id": 1}, store=OrmStore, before=set_up, effects=left_behind
    )

    assert report.undisturbed["effects"] == [3, 1, ["2 x Lamp"], [["1200.00", "paid"]]]


def at_once(calls):
    """Call each in a thread of its own, all at the same moment; raise what one of them raises."""
    barrier = Barrier(len(calls))
    errors = []

    def body(call):
        try:
            barrier.wait()
            call()
        except Exception as error:  # noqa: BLE001  the test is to see it
            errors.append(error)
        finally:
            connection.close()

    threads = [Thread(target=body, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
