"""Taking from the shelves and putting back."""

from __future__ import annotations

from django.db.models import F

from shop.models import Order, Product


class OutOfStock(Exception):
    """There is not enough of a product."""


def take(order: Order) -> None:
    """
    Take everything that ``order`` asks for, once, or raise OutOfStock.

    Call it in a transaction: what was taken before the error is to be rolled back.
    """
    if not Order.objects.filter(pk=order.pk, taken=False).update(taken=True):
        return
    order.taken = True
    # In the order of the products, so that of two orders neither has what the other waits for.
    for line in order.lines.order_by("product", "pk"):
        shelf = Product.objects.filter(name=line.product, stock__gte=line.quantity)
        # Looks and takes in one statement: nobody can take the last one in between.
        if not shelf.update(stock=F("stock") - line.quantity):
            raise OutOfStock(f"Not enough {line.product} for {line.quantity}.")


def put_back(order: Order) -> None:
    """Undo take(), once; call it in a transaction."""
    if not Order.objects.filter(pk=order.pk, taken=True).update(taken=False):
        return
    order.taken = False
    for line in order.lines.order_by("product", "pk"):
        shelf = Product.objects.filter(name=line.product)
        shelf.update(stock=F("stock") + line.quantity)


def level(product: str) -> int:
    """Return how many there are."""
    return Product.objects.get(name=product).stock


def add(product: str, quantity: int) -> None:
    """Put a delivery of a product on its shelf."""
    shelf = Product.objects.filter(name=product)
    shelf.update(stock=F("stock") + quantity, delivered=F("delivered") + quantity)
