"""ForEach: items that fail."""

from dataclasses import dataclass

import pytest
from django.db.models import F

from django_workflows.core import clock
from django_workflows.core.engine.orphans import end
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Call, End, ForEach, Halt, Loop
from django_workflows.core.workflow import Workflow
from django_workflows.exceptions import ItemsFailed
from tests.core.fanning import Fault, each_of, ids, statuses, work_off, working
from tests.core.flows import engine_of, flow, run


class Numbered(Workflow):
    @dataclass
    class Input:
        n: int

    done = End(result=F("input__n"))


# Policies ---------------------------------------------------------------------------------------


def test_item_that_fails_fails_the_step():
    result = run(working(Fault(2)), {"items": [1, 2]})

    assert result.error == "ItemsFailed: 1 of 2 items of 'each' failed: [1] ValueError: bad 2"


def test_facts_of_the_error_are_attributes():
    error = ItemsFailed("each", 2_000, 10_000, {3: "ValueError: x"})

    assert (error.step, error.count, error.total, error.errors) == (
        "each",
        2_000,
        10_000,
        {3: "ValueError: x"},
    )
    assert str(error) == (
        "2,000 of 10,000 items of 'each' failed: [3] ValueError: x; and 1,999 more"
    )


def test_items_whose_executions_were_deleted_have_no_error_to_tell():
    engine = engine_of(each_of(Halt("?", name="ask")))
    halted = engine.run({"items": [1, 2]})
    first, second = ids(engine, halted.execution_id)

    engine.store.delete(first)
    engine.resume(second)

    assert engine.result(halted.execution_id).error == (
        "ItemsFailed: 1 of 2 items of 'each' failed: their executions were deleted"
    )


def test_others_are_cancelled_where_one_fails():
    fault = Fault(2)
    engine = engine_of(each_of(Call(fault, name="work"), Halt("?", name="ask")))

    result = engine.run({"items": [1, 2, 3]})

    assert result.error == "ItemsFailed: 1 of 3 items of 'each' failed: [1] ValueError: bad 2"
    assert statuses(engine, result.execution_id) == ["cancelled", "failed", "cancelled"]
    assert not engine.store.chores(clock.now().replace(year=2999))


def test_no_held_child_has_its_turn_once_one_has_failed():
    fault = Fault(1)
    engine = engine_of(working(fault, concurrency=1))

    result = engine.run({"items": [1, 2, 3]})

    assert statuses(engine, result.execution_id) == ["failed", "cancelled", "cancelled"]
    assert fault.done == []


def test_first_errors_are_told_and_the_number_of_the_others():
    engine = engine_of(each_of(Call(Fault(*range(9)), name="work"), concurrency=None))
    halted = engine.create({"items": list(range(9))})
    engine.awaken = lambda execution: None  # all of them end before the parent is asked
    engine.drive(halted.id)
    for child in engine.store.children(halted.id, "each"):
        engine.sibling(child.workflow_id).drive(child.id)
    engine.drive(halted.id)

    error = engine.result(halted.id).error

    assert error == (
        "ItemsFailed: 9 of 9 items of 'each' failed: "
        + "; ".join(f"[{n}] ValueError: bad {n}" for n in _told(error))
        + "; and 4 more"
    )
    assert len(_told(error)) == 5


def _told(error):
    return [n for n in range(9) if f"[{n}]" in error]


def test_items_that_fail_may_be_left_out():
    fault = Fault(2)

    result = run(working(fault, on_item_error="skip"), {"items": [1, 2, 3]})

    assert result.output == [10, 30]


def test_items_that_fail_may_be_collected():
    engine = engine_of(working(Fault(2), on_item_error="collect"))

    result = engine.run({"items": [1, 2, 3]})

    lost = ids(engine, result.execution_id)[1]
    assert result.output == {
        "results": [10, None, 30],
        "errors": [{"index": 1, "execution_id": lost, "error": "ValueError: bad 2"}],
    }


def test_empty_list_has_nothing_to_collect():
    assert run(working(Fault(), on_item_error="collect"), {"items": []}).output == {
        "results": [],
        "errors": [],
    }


@pytest.mark.parametrize("policy", ["fail", "skip", "collect"])
def test_child_that_was_cancelled_or_deleted_is_lost(policy):
    engine = engine_of(each_of(Halt("?", name="ask"), on_item_error=policy))
    halted = engine.run({"items": [1, 2, 3]})
    first, second, third = ids(engine, halted.execution_id)

    engine.store.delete(second)
    engine.resume(third, "kept")
    _, left = end(engine.store, first, "no", "alice", lambda *told: None)
    engine.do_left(type("Left", (), {"left": left}), engine.agenda.add)
    work_off(engine)

    result = engine.result(halted.execution_id)
    if policy == "fail":
        assert result.error == (
            "ItemsFailed: 2 of 3 items of 'each' failed: [0] Cancelled: no; and 1 more"
        )
    elif policy == "skip":
        assert result.output == ["kept"]
    else:
        assert result.output == {
            "results": [None, None, "kept"],
            "errors": [
                {"index": 0, "execution_id": first, "error": "Cancelled: no"},
                {"index": 1, "execution_id": None, "error": "its execution was deleted"},
            ],
        }


@pytest.mark.parametrize("policy", ["skip", "collect"])
def test_input_that_does_not_fit_is_the_failure_of_its_item(policy):
    each = ForEach([{"n": 1}, {"n": "x"}], do="numbered", on_item_error=policy)
    engine = engine_of(flow("Parent", each=each), Numbered)

    result = engine.run()

    assert statuses(engine, result.execution_id) == ["completed", "failed"]
    lost = engine.store.load(ids(engine, result.execution_id)[1])
    assert lost.error.startswith("InputError: Input of workflow 'numbered' is not valid: n: ")


def test_input_that_does_not_fit_fails_the_step_before_anything_begins():
    each = ForEach([{"n": 1}, {"n": "x"}], do="numbered")
    engine = engine_of(flow("Parent", each=each), Numbered)

    result = engine.run()

    assert result.error.startswith("InputError: Input of workflow 'numbered' is not valid: [1].n: ")
    assert ids(engine, result.execution_id) == []


def test_item_whose_input_does_not_fit_has_no_turn():
    each = ForEach(
        [{"n": 1}, {"n": "x"}, {"n": 3}], do="numbered", on_item_error="skip", concurrency=1
    )

    assert run(flow("Parent", each=each), None, Numbered).output == [1, 3]


def test_all_items_may_fail_before_they_begin():
    engine = engine_of(
        flow(
            "Parent",
            each=ForEach([1], do="child", input="$item", on_item_error="skip", concurrency=2),
        ),
        flow("Child", done=End(result=1)),
    )

    assert engine.run().output == []


def test_failure_may_be_handled_and_the_others_are_cancelled():
    workflow = flow(
        "Parent",
        each=ForEach(
            [1, 2, 3],
            do=[Call(Fault(2), name="work"), Halt("?", name="ask")],
            on_error="told",
        ),
        never=End(),
        told=End(result=F("_last_error__class")),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert result.output == "ItemsFailed"
    assert statuses(engine, result.execution_id) == ["cancelled", "failed", "cancelled"]


def test_failure_handled_further_out_cancels_the_others_too():
    workflow = flow(
        "Parent",
        rounds=Loop(
            over=["a"],
            as_="round",
            on_error="wait",
            do=ForEach(
                [1, 2], do=[Call(Fault(2), name="work"), Halt("?", name="ask")], name="each"
            ),
        ),
        never=End(),
        wait=Halt("now what?"),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert result.status == ExecutionStatus.HALTED
    assert statuses(engine, result.execution_id, "rounds[0]/each") == ["cancelled", "failed"]
