"""
Orders from a CSV file, one row per order line.

    order_id,customer,country,product,quantity,unit_price

Rows with the same order_id are one order. What is wrong is said with its line; an order with a
wrong line is left out whole, and the others are read.
"""

from __future__ import annotations

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from django.db import transaction

from shop.models import Order, OrderLine, Product

COLUMNS = ("order_id", "customer", "country", "product", "quantity", "unit_price")
DATA = Path(__file__).parent / "data"
SHIPPED_ORDERS = DATA / "orders.csv"

#: What is put on the shelf of a product the shop did not know; see stock_unknown().
GENEROUS = 1_000_000

MOST_PIECES = 1_000_000
MOST_MONEY = 10_000_000

Row = dict[str, str]


class OrdersFileError(Exception):
    """The file as a whole cannot be read as orders."""


class BadRow(Exception):
    """What is wrong with one row."""


@dataclass(frozen=True, slots=True)
class LineRead:
    product: str
    quantity: int
    unit_price: Decimal


@dataclass(slots=True)
class OrderRead:
    number: str
    customer: str
    country: str
    first_line: int
    lines: list[LineRead] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OrdersRead:
    """
    What a file holds: the orders that can be run, and what is wrong, a sentence each.

    ``left_out`` has the numbers of the orders that have errors.
    """

    orders: list[OrderRead]
    errors: list[str]
    left_out: list[str]


def read_orders(path: Path) -> OrdersRead:
    """Read the file at ``path``. Raise OrdersFileError where there is nothing to go by."""
    orders: dict[str, OrderRead] = {}
    wrong: dict[str, None] = {}  # numbers of orders to leave out, in their order
    errors = []
    for number, row in _rows(path):
        order_id = row["order_id"]
        try:
            _add(orders, order_id, row, number)
        except BadRow as error:
            wrong[order_id] = None
            errors.append(f"{path.name}, line {number}: {error}")
    if not orders and not errors:
        raise OrdersFileError(f"{path} has no orders: nothing follows its first line.")
    left_out = [name for name in wrong if name]
    errors += [f"{path.name}: order {name} is left out because of that." for name in left_out]
    right = [order for name, order in orders.items() if name not in wrong]
    return OrdersRead(right, errors, left_out)


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Yield the number of the line at which each row ends, and the row."""
    try:
        # Excel begins its UTF-8 with a byte order mark; -sig drops it.
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True, strict=True)
            header = [name.strip() for name in next(reader, ())]
            _check_header(path, header)
            for cells in reader:
                stripped = [cell.strip() for cell in cells]
                if any(stripped):
                    yield reader.line_num, _row(header, stripped)
    except OSError as error:
        raise OrdersFileError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise OrdersFileError(f"{path} is not UTF-8 ({error.reason}); save it as that.") from error
    except csv.Error as error:
        raise OrdersFileError(f"{path}, line {reader.line_num}: {error}.") from error


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise OrdersFileError(f"{path} is empty; its first line must be {','.join(COLUMNS)}.")
    if len(header) == 1 and any(other in header[0] for other in ";\t|"):
        raise OrdersFileError(f"{path} is not separated by commas: it begins {header[0]!r}.")
    wrong = [name for name in COLUMNS if header.count(name) != 1]
    if wrong:
        raise OrdersFileError(
            f"{path} must have each of the columns {', '.join(COLUMNS)} once: look for"
            f" {', '.join(wrong)}. Its first line is {','.join(header)}."
        )


def _row(header: list[str], cells: list[str]) -> Row:
    row = dict(zip(header, cells, strict=False))
    # What stands beyond the last column has the name "", and _add() refuses it.
    return {**dict.fromkeys(COLUMNS, ""), **row, "": "".join(cells[len(header) :])}


def _add(orders: dict[str, OrderRead], order_id: str, row: Row, number: int) -> None:
    """Add a row to its order. Raise BadRow."""
    if row[""]:
        raise BadRow("it has more cells than the first line; quote a comma that belongs to a text")
    values = {name: row[name] for name in COLUMNS}
    empty = [name for name, value in values.items() if not value]
    if empty:
        raise BadRow(f"{', '.join(empty)} must not be empty")
    for name, most in (("order_id", 60), ("customer", 150), ("country", 60), ("product", 150)):
        if len(values[name]) > most:
            raise BadRow(f"{name} is longer than {most} characters")
        if any(unicodedata.category(character) == "Cc" for character in values[name]):
            raise BadRow(f"{name} {values[name]!r} holds a line break or another control character")
    line = LineRead(
        values["product"], _quantity(values["quantity"]), _unit_price(values["unit_price"])
    )
    order = orders.setdefault(
        order_id, OrderRead(order_id, values["customer"], values["country"], number)
    )
    for name in ("customer", "country"):
        if getattr(order, name) != values[name]:
            raise BadRow(
                f"{name} is {values[name]!r}, but {getattr(order, name)!r} in line"
                f" {order.first_line} of the same order {order_id}"
            )
    order.lines.append(line)


def _quantity(text: str) -> int:
    # int() would take "1_000", "+3" and digits of other scripts.
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal()) or len(digits) > len(str(MOST_PIECES)):
        raise BadRow(f"quantity {text!r} is no whole number up to {MOST_PIECES}")
    if text.startswith("-") and int(digits):
        raise BadRow(f"quantity {text} is negative")
    if int(digits) > MOST_PIECES:
        raise BadRow(f"quantity {text} is more than {MOST_PIECES}")
    return int(digits)


def _unit_price(text: str) -> Decimal:
    try:
        price = Decimal(text) if text.isascii() and "_" not in text else Decimal("NaN")
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite():
        raise BadRow(f"unit_price {text!r} is no amount; write it as 1234.50")
    if price < 0:
        raise BadRow(f"unit_price {text} is negative")
    if price >= MOST_MONEY:
        raise BadRow(f"unit_price {text} is not below {MOST_MONEY}")
    if price != price.quantize(Decimal("0.01")):
        raise BadRow(f"unit_price {text} has more than two decimals")
    return price.quantize(Decimal("0.01"))


@transaction.atomic
def save_orders(orders: Iterable[OrderRead]) -> list[Order]:
    """Write the orders and return them; one whose number is there already is returned as it is."""
    saved = []
    for read in orders:
        order, created = Order.objects.get_or_create(
            number=read.number, defaults={"customer": read.customer, "country": read.country}
        )
        if created:
            OrderLine.objects.bulk_create(
                OrderLine(
                    order=order,
                    product=line.product,
                    quantity=line.quantity,
                    unit_price=line.unit_price,
                )
                for line in read.lines
            )
        saved.append(order)
    return saved


def stock_catalogue() -> None:
    """Put on the shelves what the shop sells: data/products.csv."""
    with (DATA / "products.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            _stock(row["name"], Decimal(row["unit_price"]), int(row["stock"]))


def stock_unknown(orders: Iterable[OrderRead]) -> None:
    """Put plenty of each product that the shop does not know on its shelves."""
    for order in orders:
        for line in order.lines:
            _stock(line.product, line.unit_price, GENEROUS)


def _stock(product: str, unit_price: Decimal, quantity: int) -> None:
    Product.objects.get_or_create(
        name=product,
        defaults={"unit_price": unit_price, "stock": quantity, "delivered": quantity},
    )
