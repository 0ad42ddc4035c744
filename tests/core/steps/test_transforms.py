from decimal import Decimal

import pytest

from django_workflows.core.steps.transforms import OPERATIONS, apply
from django_workflows.exceptions import StepError

ROWS = [
    {"sku": "a", "n": 2, "at": {"x": 1}},
    {"sku": "b", "n": 1, "at": {"x": 2}},
    {"sku": "a", "n": 3},
]


@pytest.mark.parametrize(
    ("name", "value", "argument", "outcome"),
    [
        ("map", ROWS, "at.x", [1, 2, None]),
        ("map", [1, 2], None, [1, 2]),
        ("select", ROWS, {"sku": "a", "n": 3}, [ROWS[2]]),
        ("select", ROWS, {"at.x": 2}, [ROWS[1]]),
        ("reject", ROWS, {"sku": "a"}, [ROWS[1]]),
        ("pluck", ROWS, "sku", ["a", "b", "a"]),
        ("pluck", [[5, 6]], "1", [6]),
        ("first", [1, 2, 3], None, [1]),
        ("first", [1, 2, 3], 2, [1, 2]),
        ("first", [1], 0, []),
        ("last", [1, 2, 3], None, [3]),
        ("last", [1, 2, 3], 2, [2, 3]),
        ("last", [], None, []),
        ("flatten", [1, [2, [3]]], None, [1, 2, [3]]),
        ("flatten", [1, [2, [3, (4,)]]], 2, [1, 2, 3, (4,)]),
        ("compact", [0, None, "", False], None, [0, "", False]),
        ("uniq", [{"a": 1}, 2, {"a": 1}, 2], None, [{"a": 1}, 2]),
        ("reverse", (1, 2), None, [2, 1]),
        ("sort", [2, 1], None, [1, 2]),
        ("sort", ROWS, "n", [ROWS[1], ROWS[0], ROWS[2]]),
        ("count", [1, 2], None, 2),
        ("count", "abc", None, 3),
        ("count", 7, None, 1),
        ("sum", [1, None, 2.5], None, 3.5),
        ("sum", ROWS, "n", 6),
        ("sum", [], None, 0),
        ("sum", [Decimal("0.1"), 0.2], None, Decimal("0.3")),
        ("keys", {"a": 1}, None, ["a"]),
        ("values", {"a": 1}, None, [1]),
        ("pick", {"a": 1, "b": 2}, ["b", "c"], {"b": 2}),
        ("pick", {"a": 1, "b": 2}, "a", {"a": 1}),
        ("omit", {"a": 1, "b": 2}, ["b", "c"], {"a": 1}),
        ("omit", {"a": 1, "b": 2}, "a", {"b": 2}),
        ("merge", {"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
    ],
)
def test_operation(name, value, argument, outcome):
    assert apply(name, value, argument) == outcome


def test_every_operation_is_in_the_table_above():
    table = test_operation.pytestmark[0].args[1]

    assert {row[0] for row in table} == set(OPERATIONS)


@pytest.mark.parametrize(
    ("name", "value", "argument", "reason"),
    [
        ("map", {"a": 1}, "a", "it needs a list"),
        ("select", [1], "a", "it needs a mapping"),
        ("sort", [1, "a"], None, "not supported"),
        ("sum", ["a"], None, "unsupported operand"),
        ("first", [1], "x", "invalid literal"),
        ("last", [1], "x", "bad operand"),
        ("keys", [1], None, "it needs a mapping"),
        ("pick", {"a": 1}, 5, "it needs a list"),
        ("merge", {"a": 1}, 5, "it needs a mapping"),
        ("flatten", 5, None, "it needs a list"),
    ],
)
def test_operation_on_what_does_not_fit(name, value, argument, reason):
    with pytest.raises(StepError, match=rf"Operation '{name}' cannot be applied to .*{reason}"):
        apply(name, value, argument)


def test_long_value_is_shown_shortened():
    with pytest.raises(StepError) as caught:
        apply("keys", list(range(1000)), None)

    assert len(str(caught.value)) < 250
