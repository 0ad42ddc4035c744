"""Services for the documents of the tests, listed as a project lists its own."""

from collections import Counter
from functools import lru_cache
from subprocess import run  # noqa: F401  what a service imports is not offered
from textwrap import dedent  # noqa: F401  as above

calls: list[str] = []
failures: Counter[str] = Counter()


def validate(order_id, lines):
    """Say whether an order has lines, all of them priced."""
    missing = [line["sku"] for line in lines if not line.get("price")]
    return {"ok": bool(lines) and not missing, "missing": missing}


def total(lines, options=None):
    amount = sum(line["price"] * line["quantity"] for line in lines)
    return {"amount": amount, "express": bool((options or {}).get("express"))}


def charge(amount, card=None):
    calls.append("charge")
    if failures["charge"]:
        failures["charge"] -= 1
        raise ValueError("card declined")
    return {"payment_id": f"P-{amount}"}


def double(value):
    return value * 2


def shout(state):
    return state.input["name"].upper()


async def fetch(sku):
    return {"sku": sku, "stock": 3}


@lru_cache
def cached(value):
    return value


_secret = double
NUMBER = 5


class Warehouse:
    """Made anew for each call, but for its static and class methods."""

    made = 0

    def __init__(self):
        type(self).made += 1

    def reserve(self, sku, quantity=1):
        return {"sku": sku, "reserved": quantity, "by": id(self)}

    @staticmethod
    def carriers():
        return ["fast", "slow"]

    @classmethod
    def kind(cls):
        return cls.__name__

    @property
    def size(self):
        return 1


class Till:
    def __init__(self, currency):
        self.currency = currency

    def price(self, amount):
        return f"{amount} {self.currency}"

    @staticmethod
    def known():
        return True


till = Till("EUR")

#: As in WORKFLOWS["SERVICES"].
SERVICES = {
    "Orders": "tests.core.document_services",
    "Warehouse": "tests.core.document_services.Warehouse",
    "TillClass": "tests.core.document_services.Till",
    "Till": "tests.core.document_services.till",
    "Text": "textwrap",
    "Gone": "tests.core.no_such_module.thing",
    "Lost": "tests.core.document_services.lost",
}
