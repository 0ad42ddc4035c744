import threading
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, User
from shop.models import Order, OrderLine, Product
from shop.payment_service import PaymentServer


@pytest.fixture
def ledger(settings):
    """The books of a payment service that runs meanwhile."""
    with PaymentServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        settings.PAYMENTS_URL = server.url
        try:
            yield server.ledger
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def requester(db):
    return User.objects.create_user("robin")


@pytest.fixture
def manager(db):
    manager = User.objects.create_user("maria")
    manager.groups.add(Group.objects.create(name="managers"))
    return manager


@pytest.fixture
def stocked():
    """Put a product on its shelf: ``stocked("Lamp", 3)``."""

    def stocked(name, quantity):
        return Product.objects.create(name=name, unit_price=Decimal("10.00"), stock=quantity)

    return stocked


@pytest.fixture
def ordered():
    """Write an order: ``ordered("A1", ("Lamp", 2, "10.00"))``."""

    def ordered(number, *lines, **fields):
        order = Order.objects.create(
            **{"number": number, "customer": "Ann", "country": "DE", **fields}
        )
        for product, quantity, unit_price in lines:
            OrderLine.objects.create(
                order=order, product=product, quantity=quantity, unit_price=Decimal(unit_price)
            )
        return order

    return ordered
