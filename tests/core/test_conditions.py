from datetime import UTC, datetime

import pytest
from django.db.models import F, Q
from django.db.models.functions import Now

from django_workflows.core.conditions import LOOKUPS, Combined, Predicate, condition
from django_workflows.core.conditions import Test as Comparison
from django_workflows.core.execution import State
from django_workflows.core.expressions import Reference
from django_workflows.exceptions import ConditionError, Rejected

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)

STATE = State(
    execution_id="7",
    workflow_id="orders",
    input={"limit": 10},
    ctx={
        "n": 5,
        "zero": 0,
        "name": "Ann",
        "price": "5$",
        "empty": "",
        "none": None,
        "tags": ["a", "b"],
        "order": {"total": 12, "lines": []},
        "at": NOON,
    },
)


@pytest.mark.parametrize(
    ("test", "matches"),
    [
        (Q(n=5), True),
        (Q(n__exact=6), False),
        (Q(none=None), True),
        (Q(missing=None), True),
        (Q(missing=5), False),
        (Q(n=None), False),
        (Q(name__iexact="ANN"), True),
        (Q(name__iexact="bob"), False),
        (Q(n__gt=4), True),
        (Q(n__gt=5), False),
        (Q(n__gte=5), True),
        (Q(n__lt=5), False),
        (Q(n__lte=5), True),
        (Q(at__gt=NOON), False),
        (Q(n__in=[1, 5]), True),
        (Q(name__in="Anna"), True),  # as Python's in
        (Q(n__in=[]), False),
        (Q(tags__contains="a"), True),
        (Q(name__contains="nn"), True),
        (Q(order__contains="total"), True),
        (Q(name__icontains="AN"), True),
        (Q(name__startswith="A"), True),
        (Q(name__endswith="A"), False),
        (Q(name__regex="^A.n$"), True),
        (Q(name__regex="^n"), False),
        (Q(n__range=(5, 9)), True),
        (Q(n__range=[6, 9]), False),
        (Q(none__isnull=True), True),
        (Q(missing__isnull=True), True),
        (Q(n__isnull=True), False),
        (Q(n__isnull=False), True),
        (Q(order__total__gt=11), True),
        (Q(order__total__gt=F("input__limit")), True),
        (Q(n__lt="$input.limit"), True),
        (Q(tags__0="a"), True),
        (Q(missing__gt=1), False),  # a missing value does not match
        (Q(none__contains="x"), False),
        (Q(empty__empty=True), True),
        (Q(order__lines__empty=True), True),
        (Q(missing__empty=True), True),
        (Q(zero__empty=True), False),  # a number is not empty
        (Q(tags__empty=False), True),
        (Q(zero__truthy=True), False),
        (Q(empty__truthy=False), True),
        (Q(missing__truthy=True), False),
        (Q(n__truthy=True), True),
        (Q(n=5, name="Ann"), True),
        (Q(n=5) & Q(name="Bob"), False),
        (Q(n=6) | Q(name="Ann"), True),
        (Q(n=5) ^ Q(name="Ann"), False),
        (Q(n=5) ^ Q(name="Bob"), True),
        (~Q(n=5), False),
        (~(Q(n=6) | Q(name="Bob")), True),
        (Q(), True),
        (lambda state: state.ctx["n"] > 4, True),
        (lambda state: [], False),
    ],
)
def test_matches(test, matches):
    assert condition(test).matches(STATE) is matches


def test_every_lookup_is_in_the_table_above():
    table = test_matches.pytestmark[0].args[1]
    asked = {ref for test, _ in table if isinstance(test, Q) for ref in lookups(condition(test))}

    assert asked == set(LOOKUPS)


def lookups(test):
    if isinstance(test, Comparison):
        return [test.lookup]
    return [lookup for child in test.children for lookup in lookups(child)]


@pytest.mark.parametrize(
    "test",
    [
        Q(name__gt=1),
        Q(n__contains="x"),
        Q(n__icontains="x"),
        Q(n__startswith="x"),
        Q(name__iexact=5),
        Q(n__regex="5"),
        Q(n__in="$missing"),
        Q(n__range=(1, 2, 3)),
        Q(at__lt=datetime(2026, 1, 31)),  # noqa: DTZ001  an aware moment against a naive one
    ],
)
def test_what_cannot_be_compared_is_an_error_with_the_values(test):
    with pytest.raises(ConditionError, match=r"cannot be evaluated: .* against "):
        condition(test).matches(STATE)


def test_callable_that_raises_is_an_error_with_its_name():
    def is_dear(state):
        return state.ctx["price"] > 1

    with pytest.raises(ConditionError, match="is_dear cannot be evaluated: TypeError") as caught:
        condition(is_dear).matches(STATE)

    assert isinstance(caught.value.__cause__, TypeError)


def test_callable_may_raise_a_step_error_of_its_own():
    def refuse(state):
        raise Rejected("no")

    with pytest.raises(Rejected):
        condition(refuse).matches(STATE)


def test_callable_cannot_change_what_is_stored():
    state = State(execution_id="7", workflow_id="orders", ctx={"tags": ["a"]})

    condition(lambda seen: seen.ctx["tags"].append("b")).matches(state)

    assert state.ctx == {"tags": ["a"]}


def test_regular_expression_is_taken_as_written():
    assert condition(Q(price__regex=r"^\d\$$")).matches(STATE)
    assert not condition(Q(order__currency__regex=r"\$$")).matches(STATE)
    assert not condition(Q(price__regex=r"^\d\$$")).matches(
        State(execution_id="7", workflow_id="orders", ctx={"price": "5$ or more"})
    )


def test_all_stops_at_the_first_that_is_false():
    assert condition(Q(n=6) & Q(name__gt=1)).matches(STATE) is False


@pytest.mark.parametrize(
    ("test", "shown"),
    [
        (Q(n__gt=6), "$n gt 6 (it is 5)"),
        (Q(n=1) & Q(name="x"), "$n exact 1 (it is 5) and $name exact 'x' (it is 'Ann')"),
        (~Q(n=1), "not ($n exact 1 (it is 5))"),
    ],
)
def test_explain(test, shown):
    assert condition(test).explain(STATE) == shown


def test_explain_names_a_callable():
    assert "<lambda>() was false" in condition(lambda state: False).explain(STATE)
    assert "() was false" in condition(all.__call__).explain(STATE)


def test_references_of_a_condition():
    test = condition(Q(a__b__gt=F("c")) | ~Q(d="$e"))

    assert [str(reference) for reference in test.references()] == ["$a.b", "$c", "$d", "$e"]
    assert list(condition(lambda state: True).references()) == []


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        (Q(n__range=5), "condition $n range 5 needs a range of two values"),
        (Q(n__range=[1]), "condition $n range [1] needs a range of two values"),
        (Q(n__regex="("), "has a bad regular expression"),
        (Q(n__regex="$name"), "needs a literal regular expression, never one from data"),
        (Q(n__regex=F("name")), "needs a literal regular expression, never one from data"),
        (Comparison(Reference(("n",)), "like", 1), "has the unknown lookup 'like'"),
    ],
)
def test_problem(test, problem):
    (found,) = condition(test).problems()

    assert problem in found


@pytest.mark.parametrize("test", [Q(n__regex="^a$"), Q(n__range=(1, 2)), Q(n=1), callable])
def test_sound_condition_has_no_problems(test):
    assert list(condition(test).problems()) == []


def test_condition_is_returned_as_it_is():
    test = Comparison(Reference(("n",)), "exact", 5)

    assert condition(test) is test
    assert isinstance(condition(Q(test=1)), Combined)
    assert isinstance(condition(bool), Predicate)


@pytest.mark.parametrize("source", [7, "n > 5", None])
def test_what_is_no_condition_is_refused(source):
    with pytest.raises(TypeError, match="Q object or a callable"):
        condition(source)


def test_database_expression_in_a_q_is_refused():
    with pytest.raises(TypeError, match="cannot hold"):
        condition(Q(Now()))
