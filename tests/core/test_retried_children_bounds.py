"""Children of a step that is run again: their time, their turn, and what they are given."""

import pytest
from django.db.models import F

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Call, End, ForEach, Halt, Parallel
from tests.core.fanning import again, ids
from tests.core.flows import engine_of, flow
from tests.core.shopping import Shop, by_each, by_sub, unlucky

# Bounds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [by_sub, by_each])
def test_child_that_was_too_late_has_its_time_again(kind, travel):
    shop = Shop()
    parent, _ = kind(shop, timeout=60)
    steps = shop.steps()
    child = flow("Order", charge=steps["charge"], ask=Halt("?"), ship=steps["ship"])
    engine = engine_of(parent, child)
    engine.run()
    (waiting,) = engine.store.find("order")
    travel(61)
    engine.sibling("order").resume(waiting.id, "too late")
    engine.drive(waiting.parent)
    failed = engine.result(waiting.parent)
    shop.is_open = True

    again(engine, waiting.parent)
    (driven_on,) = engine.store.find("order")
    engine.drive(waiting.id)

    assert failed.status == ExecutionStatus.FAILED
    assert "deadline" in failed.error
    assert (driven_on.deadline_at - waiting.deadline_at).total_seconds() >= 60
    assert len(shop.charged) == 1


def test_no_more_than_concurrency_are_driven_on_at_once():
    shop, most = Shop(), [0]
    asked = flow("Order", charge=shop.steps()["charge"], ask=Halt("?"), ship=shop.steps()["ship"])
    parent = flow(
        "Parent",
        each=ForEach([1, 2, 3, 4, 5], do="order", input={}, concurrency=2, on_item_error="skip"),
        after=Call(lambda: None if shop.is_open else unlucky()),
    )
    engine = engine_of(parent, asked)
    parent_id = engine.run().execution_id
    before = ids(engine, parent_id)
    answer_all(engine, parent_id, most)
    shop.is_open = True

    halted = again(engine, parent_id, from_step="each")
    answer_all(engine, parent_id, most)

    assert halted.status == ExecutionStatus.COMPLETED
    assert ids(engine, parent_id) == before
    assert len(shop.charged) == len(shop.shipped) == 5
    assert most == [2]


def answer_all(engine, parent_id, most):
    """Answer the children that ask, one at a time."""
    while waits := engine.store.find_waits(kind="halt"):
        most[0] = max(most[0], len(waits))
        engine.resume(waits[0].execution_id, "go on")


# Another input ----------------------------------------------------------------------------------


def test_item_that_is_given_another_input_is_another():
    broken = [1]
    child = flow("Priced", it=Call(lambda state: state.input["amount"]))
    parent = flow(
        "Parent",
        each=ForEach([1, 2], do="priced", input={"amount": F("input__amount"), "of": "$item"}),
        after=Call(lambda: unlucky() if broken else None, output=None),
        done=End(result=F("each")),
    )
    engine = engine_of(parent, child)
    failed = engine.run({"amount": 1})
    broken.clear()

    result = again(engine, failed.execution_id, from_step="each", input={"amount": 5})

    assert result.output == [5, 5]


def test_steps_of_an_item_that_see_another_input_are_run_anew():
    broken = [1]
    parent = flow(
        "Parent",
        each=ForEach([1, 2], do=[Call(lambda state: state.input["amount"], name="it")]),
        after=Call(lambda: unlucky() if broken else None, output=None),
        done=End(result=F("each")),
    )
    engine = engine_of(parent)
    failed = engine.run({"amount": 1})
    broken.clear()

    result = again(engine, failed.execution_id, from_step="each", input={"amount": 5})

    assert result.output == [5, 5]


def test_branches_that_see_another_input_are_run_anew():
    def second(state):
        if state.input["amount"] == 1:
            raise ValueError("bad")
        return state.input["amount"]

    parent = flow(
        "Parent",
        both=Parallel(
            distributed=True,
            a=Call(lambda state: state.input["amount"], name="x"),
            b=Call(second, name="y"),
        ),
    )
    engine = engine_of(parent)
    failed = engine.run({"amount": 1})

    result = again(engine, failed.execution_id, from_step="both", input={"amount": 2})

    assert result.output == {"a": 2, "b": 2}


def test_item_that_is_told_the_time_is_the_same_at_another_time(travel):
    ran, broken = [], [2]

    def work(state):
        if state.input["n"] in broken:
            raise ValueError("bad")
        ran.append(state.input["n"])

    parent = flow("Parent", each=ForEach([1, 2, 3], do="timed", input={"at": "$now", "n": "$item"}))
    engine = engine_of(parent, flow("Timed", it=Call(work)))
    failed = engine.run()
    broken.clear()
    travel(10)

    result = again(engine, failed.execution_id)

    assert result.status == ExecutionStatus.COMPLETED
    assert sorted(ran) == [1, 2, 3]
