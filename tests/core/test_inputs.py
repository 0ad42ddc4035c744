from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum

import pytest

from django_workflows.core.codec import decode, encode
from django_workflows.core.inputs import AnyInput, DataclassInput, checked
from django_workflows.exceptions import ConfigurationError, InputError


class Speed(Enum):
    SLOW = "slow"
    FAST = "fast"


class Unit(Enum):
    KILO = "kg"


@dataclass
class Line:
    sku: str
    unit: Unit = Unit.KILO


@dataclass
class Order:
    order_id: int
    lines: list[Line] = field(default_factory=list)
    speed: Speed | None = None
    total: Decimal = Decimal("0.00")
    due: date | None = None
    places: dict[str, tuple[int, ...]] = field(default_factory=dict)


@pytest.fixture
def order():
    return DataclassInput(Order)


def test_defaults_are_filled_in(order):
    assert order.clean("orders", {"order_id": 7}) == {
        "order_id": 7,
        "lines": [],
        "speed": None,
        "total": Decimal("0.00"),
        "due": None,
        "places": {},
    }


def test_values_get_their_declared_types(order):
    given = {
        "order_id": "7",
        "lines": [{"sku": "a"}, Line(sku="b")],
        "speed": "fast",
        "total": "9.50",
        "due": "2026-01-31",
        "places": {"x": [1, 2]},
    }

    assert order.clean("orders", given) == {
        "order_id": 7,
        "lines": [{"sku": "a", "unit": Unit.KILO}, {"sku": "b", "unit": Unit.KILO}],
        "speed": Speed.FAST,
        "total": Decimal("9.50"),
        "due": date(2026, 1, 31),
        "places": {"x": (1, 2)},
    }


def test_every_field_error_is_told_at_once(order):
    with pytest.raises(InputError) as caught:
        order.clean("orders", {"order_id": "x", "lines": [{}], "speed": "warp", "colour": "red"})

    errors = caught.value.errors
    assert set(errors) == {"order_id", "lines.0.sku", "speed", "colour"}
    assert "valid integer" in errors["order_id"]
    assert errors["colour"] == (
        "unknown field; known are order_id, lines, speed, total, due, places"
    )
    assert "Input of workflow 'orders' is not valid" in str(caught.value)


def test_missing_field_is_an_error(order):
    with pytest.raises(InputError, match="order_id: Field required"):
        order.clean("orders", {})


def test_rule_of_the_whole_input_is_an_error_without_a_field():
    @dataclass
    class Period:
        start: int
        end: int

        def __post_init__(self):
            if self.end < self.start:
                raise ValueError("it ends before it begins")

    with pytest.raises(InputError, match=r"input: .*it ends before it begins"):
        DataclassInput(Period).clean("report", {"start": 2, "end": 1})


def test_input_of_no_fields_takes_nothing():
    class Nothing:
        pass

    with pytest.raises(InputError, match="unknown field; known are none"):
        DataclassInput(Nothing).clean("report", {"x": 1})


def test_plain_class_of_annotations_is_taken_as_a_dataclass():
    class Ship:
        order_id: int
        express: bool = False

    assert DataclassInput(Ship).clean("ship", {"order_id": 1}) == {"order_id": 1, "express": False}


def test_enums_of_the_annotations_can_be_stored(order):
    cleaned = order.clean("orders", {"order_id": 1, "speed": "slow"})

    assert decode(encode(cleaned)) == cleaned


def test_schema_and_names(order):
    assert order.schema()["properties"]["order_id"]["type"] == "integer"
    assert order.names() == {"order_id", "lines", "speed", "total", "due", "places"}


def test_annotation_that_pydantic_cannot_read_is_told_when_declared():
    class Odd:
        pass

    @dataclass
    class Input:
        odd: Odd

    with pytest.raises(ConfigurationError, match=r"Input .*Input: .*Odd"):
        DataclassInput(Input)


def test_value_that_cannot_be_kept_is_an_input_error():
    @dataclass
    class Input:
        ratio: float

    with pytest.raises(InputError, match="ratio: float nan is no JSON number"):
        DataclassInput(Input).clean("report", {"ratio": "nan"})


def test_undeclared_input_takes_any_mapping():
    anything = AnyInput()

    assert anything.clean("report", {"a": [1], "b": {2}}) == {"a": [1], "b": {2}}
    assert anything.schema() == {"type": "object"}
    assert anything.names() is None


def test_undeclared_input_is_copied():
    given = {"a": [1]}

    cleaned = AnyInput().clean("report", given)
    given["a"].append(2)

    assert cleaned == {"a": [1]}


def test_undeclared_input_names_every_value_that_cannot_be_kept():
    with pytest.raises(InputError) as caught:
        AnyInput().clean("report", {"a": {"b": [1, object()]}, "c": float("inf"), 5: 1, "d": 1})

    assert caught.value.errors == {
        "a.b[1]": "object cannot be stored; store plain data",
        "c": "float inf is no JSON number; store None or text",
        "5": "key 5 is int; keys must be plain str",
    }


@pytest.mark.parametrize("given", [None, {}])
def test_input_may_be_left_out(given):
    assert checked(AnyInput(), "report", given, 10) == {}


@pytest.mark.parametrize("given", [[], "text", 7])
def test_input_that_is_no_mapping_is_refused(given):
    with pytest.raises(InputError, match="input: must be a mapping of fields"):
        checked(AnyInput(), "report", given, 100)


def test_input_larger_than_allowed_is_refused():
    with pytest.raises(InputError, match=r"input: 16 bytes are more than MAX_PAYLOAD_BYTES \(15\)"):
        checked(AnyInput(), "report", {"a": "12345678"}, 15)

    assert checked(AnyInput(), "report", {"a": "12345678"}, 16) == {"a": "12345678"}
