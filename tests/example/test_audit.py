"""The audit finds whatever does not add up, and nothing where all does."""

from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from shop import payments
from shop.fulfilment import executions_of, fulfil
from shop.models import Notification, Order, OrderLine, Parcel, Product, Shipment

from django_workflows import resume
from django_workflows.models import WorkflowExecution
from tests.example.test_payment_service import FINE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shipped(ledger, stocked, ordered, manager):
    """An order over 1,000 that was shipped, and beside it one that was refused."""
    Product.objects.filter(pk=stocked("Lamp", 5).pk).update(delivered=5)
    order = ordered(FINE, ("Lamp", 2, "600.00"))
    resume(fulfil(order).id, approved=True, by="maria")
    fulfil(ordered("refused", ("Lump", 1, "1.00")))
    order.refresh_from_db()
    return order


def audit():
    """Return what the command says and its error, if there is one."""
    out = StringIO()
    try:
        call_command("audit", stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), ""


def test_all_is_well(shipped):
    told, error = audit()

    assert error == ""
    assert "ok      each of the 1 shipped orders has one shipment" in told
    assert "ok      each of the 1 refused orders says why" in told
    assert "NOT SO" not in told


def ship_again(order):
    Shipment.objects.create(order=order, number="again")


def lose_a_parcel(order):
    Parcel.objects.all().delete()


def charge_again(order):
    payments.charge(order.number, order.customer, Decimal(7), idempotency_key="again")


def charge_a_refused_one(order):
    payments.charge("refused", "Ann", Decimal(1), idempotency_key="wrongly")


def forget_the_reason(order):
    Order.objects.filter(number="refused").update(refusal="")


def fail(order):
    executions_of(order).filter(workflow_id="order_fulfilment").update(status="failed")


def never_start(order):
    Order.objects.create(number="new", customer="Ann", country="DE")


def ship_what_is_not_there(order):
    OrderLine.objects.update(product="Lump")


def approve_alone(order):
    WorkflowExecution.objects.update(started_by="maria")


def tell_twice(order):
    Notification.objects.create(order=order, text=order.notifications.first().text)


def tell_nobody(order):
    Notification.objects.all().delete()


def lose_a_lamp(order):
    Product.objects.update(stock=2)


@pytest.mark.parametrize(
    ("accident", "looked_for", "case"),
    [
        (ship_again, "one shipment", f"{FINE}: shipments 2, parcels 1"),
        (lose_a_parcel, "one shipment", f"{FINE}: shipments 1, parcels 0"),
        (charge_again, "charged once", f"{FINE} of 1200.00: charged 1200.00 and 7"),
        (charge_a_refused_one, "no money", "refused: shipments 0, parcels 0, charged 1"),
        (forget_the_reason, "says why", "refused"),
        (fail, "which completed", f"{FINE}: failed"),
        (never_start, "which completed", "new: not started"),
        (ship_what_is_not_there, "nobody could fulfil", FINE),
        (approve_alone, "was approved", FINE),
        (tell_twice, "told once", FINE),
        (tell_nobody, "told once", "refused"),
        (lose_a_lamp, "stock was never", "Lamp: 5 delivered, 2 shipped, 2 there"),
    ],
)
def test_an_accident_is_named_and_is_an_error(shipped, accident, looked_for, case):
    accident(shipped)

    told, error = audit()

    before, _, after = told.partition(looked_for)
    assert before.splitlines()[-1].startswith("  NOT SO")
    cases, _, _ = after.partition("  ok  ")
    assert f"          but not {case}" in cases.splitlines()
    assert "not as they must be" in error


def test_a_shop_without_orders_has_nothing_to_be_right_about(ledger):
    assert audit() == ("", "There are no orders to audit: import some first.")


def test_without_the_payment_service_nothing_can_be_compared(ordered):
    ordered("A1")

    told, error = audit()

    assert told == ""
    assert error.startswith("The payment service must be running: GET http://127.0.0.1:9/charges")
