"""ForEach: how the parent waits, how many run at once, and what bounds them."""

from datetime import timedelta

import pytest

from django_workflows.core.engine.limits import Limits
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.steps import Call, ForEach, Halt
from django_workflows.core.waits import WaitKind
from tests.core.fanning import children_of, each_of, path_of
from tests.core.flows import engine_of, flow, run


def test_parent_is_halted_by_one_wait_that_holds_no_items():
    engine = engine_of(each_of(Halt("?", name="ask"), concurrency=2))

    halted = engine.run({"items": ["x" * 100] * 5})

    (wait,) = halted.waits
    assert (wait.kind, wait.key, wait.step) == (WaitKind.CHILD, None, "each")
    assert wait.data == {
        "total": 5,
        "needed": 5,
        "concurrency": 2,
        "workflow_id": "parent/each",
        "attempt": 1,
    }
    stored = engine.store.load(halted.execution_id)
    assert "x" * 100 not in str((stored.ctx, stored.frames, stored.halt_data))


def test_children_that_halt_are_answered_one_by_one():
    engine = engine_of(each_of(Halt("?", name="ask")))

    halted = engine.run({"items": ["a", "b"]})
    first, second = children_of(engine, halted.execution_id)
    engine.resume(second.id, 2)
    half = engine.result(halted.execution_id)
    engine.resume(first.id, 1)

    assert half.status == ExecutionStatus.HALTED
    assert engine.result(halted.execution_id).output == [1, 2]


def test_no_more_than_concurrency_are_under_way():
    under_way = []

    def look(state):
        running = {ExecutionStatus.PENDING, ExecutionStatus.RUNNING}
        tally = engine.store.tally(state.origin.parent, "each")
        under_way.append(sum(tally.get(status, 0) for status in running))
        return state.ctx["item"]

    engine = engine_of(each_of(Call(look, name="x"), concurrency=3))

    result = engine.run({"items": list(range(10))})

    assert result.output == list(range(10))
    assert max(under_way) == 3


def test_held_children_have_no_turn_before_another_has_ended():
    engine = engine_of(each_of(Halt("?", name="ask"), concurrency=1))

    halted = engine.run({"items": ["a", "b", "c"]})
    first, second, third = children_of(engine, halted.execution_id)
    held = engine.store.load(third.id)
    engine.resume(first.id, 1)

    assert (held.status, held.fence, held.halt_data) == (ExecutionStatus.HALTED, 0, {"turn": 2})
    assert engine.store.waits(second.id)
    assert not engine.store.waits(third.id)


def test_more_concurrency_than_items():
    assert run(each_of(Call(path_of, name="x"), concurrency=9), {"items": [1]}).output == ["x"]


def test_output_that_nobody_wants_is_not_read(monkeypatch):
    engine = engine_of(each_of(Call(path_of, name="x"), output=None))
    monkeypatch.setattr(engine.store, "children", None)

    result = engine.run({"items": [1, 2]})

    assert (result.status, result.output) == (ExecutionStatus.COMPLETED, None)


# Bounds -----------------------------------------------------------------------------------------


def test_timeout_of_a_child_counts_from_its_beginning(travel):
    engine = engine_of(each_of(Halt("?", name="ask"), concurrency=1, timeout=60))

    halted = engine.run({"items": ["a", "b"]})
    first, second = children_of(engine, halted.execution_id)
    before = [engine.store.load(child.id).deadline_at for child in (first, second)]
    travel(50)
    engine.resume(first.id)
    travel(50)
    engine.resume(second.id)

    assert before[0] is not None
    assert before[1] is None
    assert engine.result(halted.execution_id).status == ExecutionStatus.COMPLETED


def test_child_past_its_timeout_fails(travel):
    engine = engine_of(
        each_of(Halt("?", name="ask"), timeout=timedelta(minutes=1), on_item_error="collect")
    )

    halted = engine.run({"items": ["a"]})
    travel(61)
    (child,) = children_of(engine, halted.execution_id)
    engine.resume(child.id)

    (error,) = engine.result(halted.execution_id).output["errors"]
    assert error["error"].startswith("WorkflowTimeout: The workflow passed its deadline")


@pytest.mark.parametrize(("own", "seconds"), [(None, 60), (10, 10), (100, 60)])
def test_timeout_never_prolongs_that_of_the_workflow(own, seconds):
    child = flow("Child", ask=Halt(), timeout=own and timedelta(seconds=own))
    engine = engine_of(flow("Parent", each=ForEach([1], do="child", timeout=60)), child)

    (kid,) = children_of(engine, engine.run().execution_id)

    kid = engine.store.load(kid.id)
    assert round((kid.deadline_at - kid.created_at).total_seconds()) == seconds


def test_own_timeout_of_the_workflow_waits_for_its_turn_too(travel):
    child = flow("Child", ask=Halt(), timeout=timedelta(seconds=60))
    engine = engine_of(flow("Parent", each=ForEach([1, 2], do="child", concurrency=1)), child)
    first, second = children_of(engine, engine.run().execution_id)

    travel(50)
    engine.resume(first.id)

    assert engine.store.load(second.id).deadline_at - second.created_at > timedelta(seconds=100)


def test_item_that_is_too_long_fails_the_step_before_anything_begins():
    workflow = flow("Parent", each=ForEach(["x", "y" * 200], do=Call(path_of, name="x")))
    engine = engine_of(workflow, limits=Limits(payload_bytes=100))

    result = engine.run()

    assert result.error == (
        "InputError: Input of workflow 'parent/each' is not valid: [1].item: 202 bytes are more"
        " than MAX_PAYLOAD_BYTES (100) allows"
    )
    assert len(engine.store.find()) == 1


def test_results_that_are_too_long_together_fail_the_step():
    workflow = flow("Parent", each=ForEach([1, 2, 3], do=Call(lambda: "y" * 50, name="x")))

    result = run(workflow, limits=Limits(payload_bytes=100))

    assert result.error.startswith("OutputError: Step 'each' cannot keep its output: 160 bytes")


def test_children_are_written_in_batches(monkeypatch):
    monkeypatch.setattr("django_workflows.core.engine.fanning.BATCH", 4)
    engine = engine_of(each_of(Call(lambda state: state.ctx["item"], name="x")))
    sizes = []
    write = engine.store.create_children

    def counted(parent, fence, children):
        sizes.append(len(children))
        return write(parent, fence, children)

    monkeypatch.setattr(engine.store, "create_children", counted)

    result = engine.run({"items": list(range(10))})

    assert result.output == list(range(10))
    assert sizes == [4, 4, 2]


def test_history_shows_that_it_waited():
    engine = engine_of(each_of(Call(path_of, name="x")))

    result = engine.run({"items": [1]})

    assert [entry.action for entry in engine.store.entries(result.execution_id)] == [
        EntryAction.HALTED,
        EntryAction.RESUMED,
        EntryAction.COMPLETED,
    ]
