"""An order's own page: what its workflow waits for, and the manager's decision there."""

import pytest
from shop.fulfilment import fulfil
from shop.models import Order

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_manager_approves_a_large_order_on_its_page(visitor, ordered, people):
    order = ordered("A1", price="1500.00")
    fulfil(order, by=people["robin"])

    visitor.log_in("maria")
    visitor.click("A1")
    visitor.sees(
        "Order A1 of Ann Berger is over 1,000: 1500.00", "for an approval by group managers"
    )
    visitor.picture("shop-order")
    visitor.type("Comment", "she pays")
    visitor.click("Approve")

    visitor.sees("It is approved.", "shipped", "Shipment notice")
    order.refresh_from_db()
    assert order.status == Order.Status.SHIPPED
    assert visitor.overflow() == 0


def test_who_is_not_asked_sees_what_is_waited_for_and_has_nothing_to_press(
    visitor, ordered, people
):
    fulfil(ordered("A1", price="1500.00"), by=people["robin"])

    visitor.log_in("robin")
    visitor.click("A1")

    visitor.sees("It waits for", "it asks group:managers")
    visitor.sees_no("Approve")
