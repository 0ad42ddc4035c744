"""
A browser, the shop with its people, and somebody to visit it.

``tox -e browser`` runs this folder; with other settings it is passed over. Pictures of the pages
are written where WORKFLOWS_PICTURES says.
"""

import os
import threading
from decimal import Decimal
from pathlib import Path

import pytest

if os.environ.get("DJANGO_SETTINGS_MODULE") != "tests.browser.settings":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session")
def driver():
    """One browser for all tests."""
    from tests.browser import chromium

    driver = chromium.started()
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """The folder for pictures of the pages."""
    given = os.environ.get("WORKFLOWS_PICTURES")
    folder = Path(given) if given else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def visitor(driver, people, live_server, pictures):
    """Somebody with an empty browser; at the end it must have had nothing to complain about."""
    from tests.browser.visitor import Visitor

    visitor = Visitor(driver, live_server.url, pictures)
    visitor.window()
    visitor.prefer("light")
    yield visitor
    visitor.listen()
    driver.get("about:blank")
    driver.delete_all_cookies()
    assert not visitor.complaints, visitor.described()


@pytest.fixture
def ledger(settings):
    """The books of a payment service that runs meanwhile."""
    from shop.payment_service import PaymentServer

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
def people(transactional_db, ledger):
    """admin, maria and robin; see shop.people."""
    from shop.people import hire_admin, hire_clerk, hire_manager

    return {
        "admin": hire_admin("admin"),
        "maria": hire_manager("maria"),
        "robin": hire_clerk("robin"),
    }


@pytest.fixture
def ordered(people):
    """Write an order for one lamp: ``ordered("A1", price="1500.00", country="DE")``."""
    from shop.models import Order, OrderLine, Product

    Product.objects.get_or_create(
        name="Lamp", defaults={"unit_price": Decimal(10), "stock": 100, "delivered": 100}
    )

    def ordered(number, *, price="10.00", country="DE"):
        order = Order.objects.create(number=number, customer="Ann Berger", country=country)
        OrderLine.objects.create(order=order, product="Lamp", quantity=1, unit_price=Decimal(price))
        return order

    return ordered
