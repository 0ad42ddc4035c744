from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import F, Func, Value

from django_workflows.core import clock
from django_workflows.core.execution import Entry, EntryAction, State
from django_workflows.core.expressions import Reference, references, resolve, walk
from django_workflows.core.variables import read_only
from django_workflows.exceptions import StepError

STATE = State(
    execution_id="7",
    workflow_id="orders",
    input={"order": {"lines": [{"sku": "a"}, {"sku": "b"}]}, "count": 2},
    ctx={
        "total": Decimal("9.50"),
        "name": "Ann",
        "none": None,
        "pair": (1, 2),
        "secret": "$name",
        "items": {"0": "by key"},
        "_last_error": {"step": "pay"},
    },
    reader=lambda: [Entry(execution_id="7", step_id="pay", action=EntryAction.COMPLETED)],
)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        (F("total"), Decimal("9.50")),
        (F("input__order__lines__1__sku"), "b"),
        (F("ctx__name"), "Ann"),
        (F("history__0__step_id"), "pay"),
        (F("pair__1"), 2),
        (F("items__0"), "by key"),  # a mapping's keys are text
        (F("_last_error__step"), "pay"),
        ("$total", Decimal("9.50")),  # a whole reference keeps the type
        ("$input.order.lines.0.sku", "a"),
        ("$input.order.lines.2.sku", None),  # there are two
        ("$input.order.lines.x", None),
        ("$name.first", None),  # text is not walked
        ("$nobody", None),
        ("$nobody.at.all", None),
        ("$history.0.action", "completed"),
        ("Order of $name: $total", "Order of Ann: 9.50"),
        ("$name$name", "AnnAnn"),
        ("<$none>", "<>"),
        ("$$name costs $$5", "$name costs $5"),
        ("5 $ and $1", "5 $ and $1"),  # no names
        ("$name.", "Ann."),  # a full stop ends the sentence, not the path
        ("plain", "plain"),
        ("$secret", "$name"),  # data is not searched for references
        ("is $secret", "is $name"),
        (F("input__count") + 1, 3),
        (F("input__count") * F("total"), Decimal("19.00")),
        (F("total") - 1, Decimal("8.50")),
        (F("total") / 2, Decimal("4.75")),
        (F("input__count") % 2, 0),
        (F("input__count") ** 3, 8),
        (-F("input__count"), -2),
        (1 + F("input__count"), 3),
        (Value("$name"), "$name"),  # a literal dollar sign
        ({"who": F("name"), "n": ["$total", 1]}, {"who": "Ann", "n": [Decimal("9.50"), 1]}),
        ((F("name"), "x"), ["Ann", "x"]),
        (None, None),
        (7, 7),
    ],
)
def test_resolve(expression, value):
    assert resolve(expression, STATE) == value


def test_resolve_reads_what_steps_see():
    assert resolve("$input.order.lines.0.sku is for $name", read_only(STATE)) == "a is for Ann"


def test_now_is_the_engine_clock(travel):
    travel(3600)

    assert abs(resolve("$now", STATE) - clock.now()) < timedelta(seconds=1)


def test_history_is_empty_without_a_reader():
    assert resolve(F("history"), State(execution_id="7", workflow_id="orders")) == []


@pytest.mark.parametrize(
    "path",
    ["__class__", "total.__class__", "total.real", "name.upper", "pair.count", "ctx.items.keys"],
)
def test_attributes_are_not_reached(path):
    assert Reference.dotted(path).lookup(STATE) is None


@pytest.mark.parametrize("operation", [F("name") / 2, F("total") / 0, F("none") + 1])
def test_impossible_calculation_shows_the_values(operation):
    with pytest.raises(StepError, match=r"'Ann'|Decimal\('9.50'\)|None"):
        resolve(operation, STATE)


def test_operator_of_databases_only_is_refused():
    with pytest.raises(StepError, match="operator '&' cannot be used"):
        resolve(F("total").bitand(1), STATE)


def test_walk_takes_no_position_from_signs_or_other_digits():
    assert walk([1, 2], ["-1"]) is None
    assert walk([1, 2], ["²"]) is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("$a.b and $c, $$d", ["$a.b", "$c"]),
        (F("a__b"), ["$a.b"]),
        (F("a") + F("b") * 2, ["$a", "$b"]),
        ({"x": "$a", "y": [F("b"), ("$c",)]}, ["$a", "$b", "$c"]),
        (Func(F("a")), []),
        (7, []),
        ("none", []),
    ],
)
def test_references(value, found):
    assert [str(reference) for reference in references(value)] == found


def test_reference_names_its_root():
    assert Reference.of(F("validate__total")).root == "validate"


@pytest.mark.parametrize(
    ("expression", "ctx"),
    [
        (F("n") ** F("n"), {"n": 100_000}),  # a number of half a million digits
        (F("text") * F("n"), {"text": "x", "n": 10**9}),
        (F("n") * F("text"), {"text": "x", "n": 10**9}),
        (F("text") % F("n"), {"text": "%1000000000d", "n": 1}),
    ],
)
def test_small_expression_over_data_does_not_grow_huge(expression, ctx):
    with pytest.raises(StepError):
        resolve(expression, State(execution_id="e", workflow_id="w", ctx=ctx))
