"""ForEach: run again, by its own retry, by hand and after a crash."""

import pytest

from django_workflows.core import control
from django_workflows.core.engine.orphans import end
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Call, Halt
from tests.core.fanning import Fault, again, each_of, ids, work_off, working
from tests.core.flows import Crash, answered, engine_of, history


def test_its_own_retry_keeps_what_is_done_and_runs_the_others_anew():
    calls = []

    def work(state):
        calls.append(state.ctx["item"])
        if calls.count(2) == 1 and state.ctx["item"] == 2:
            raise ValueError("bad")
        return state.ctx["item"]

    engine = engine_of(each_of(Call(work, name="x"), retry=Retry(attempts=2, delay=0)))

    result = engine.run({"items": [1, 2, 3]})

    assert result.output == [1, 2, 3]
    assert sorted(calls) == [1, 2, 2, 3]
    assert history(engine, result.execution_id, EntryAction.RETRIED) == ["each"]
    assert [wait.status for wait in engine.store.waits(result.execution_id)] == ["taken", "taken"]


def test_its_own_retry_leaves_children_under_way_alone():
    broken = [2]

    def work(state):
        if state.ctx["item"] in broken:
            raise ValueError(broken.pop())
        return state.ctx["item"] * 10

    engine = engine_of(
        each_of(Halt("?", name="ask"), Call(work, name="x"), retry=Retry(attempts=2, delay=0))
    )
    halted = engine.run({"items": [1, 2]})
    first, second = ids(engine, halted.execution_id)

    engine.resume(second, "go on")
    engine.resume(first, "go on")

    assert ids(engine, halted.execution_id) == [first, second]
    assert engine.result(halted.execution_id).output == [10, 20]
    # It went on where it had failed, so nobody was asked again.
    assert len(engine.store.waits(second)) == 1


def test_retry_after_a_long_pause_goes_on_as_well(travel):
    fault = Fault(2)
    engine = engine_of(working(fault, retry=Retry(attempts=2, delay=3600), concurrency=1))
    paused = engine.run({"items": [1, 2, 3]})
    fault.bad.clear()

    result = answered(engine, paused.execution_id, "retry")

    assert result.output == [10, 20, 30]
    assert sorted(fault.done) == [1, 2, 3]


def test_driven_again_by_hand_it_runs_only_what_is_not_done():
    fault = Fault(2)
    engine = engine_of(working(fault, concurrency=1))
    failed = engine.run({"items": [1, 2, 3]})
    before = ids(engine, failed.execution_id)
    fault.bad.clear()

    result = again(engine, failed.execution_id)

    assert result.output == [10, 20, 30]
    assert fault.done == [1, 2, 3]
    assert ids(engine, failed.execution_id)[:2] == before[:2]
    # The third had not begun, so a new one has its turn.
    assert ids(engine, failed.execution_id)[2] != before[2]


def test_driven_again_with_other_items_it_runs_those_that_are_others():
    fault = Fault(3)
    engine = engine_of(working(fault))
    failed = engine.run({"items": [1, 2, 3, 4]})
    assert set(fault.done) <= {1, 2, 4}

    result = again(engine, failed.execution_id, input={"items": [1, 20, 4]})

    assert result.output == [10, 200, 40]
    assert fault.done.count(1) == 1


def test_driven_again_while_old_children_are_still_under_way_replaces_them():
    engine = engine_of(each_of(Halt("?", name="ask")))
    halted = engine.run({"items": [1, 2]})
    first, second = ids(engine, halted.execution_id)
    # Cancelled by a process that died before it came to the children.
    end(engine.store, halted.execution_id, "stop", None, lambda *told: None)

    again(engine, halted.execution_id)
    third, fourth = ids(engine, halted.execution_id)
    engine.resume(third, 1)
    engine.resume(fourth, 2)

    assert engine.result(halted.execution_id).output == [1, 2]
    assert engine.store.load(first).status == ExecutionStatus.CANCELLED
    assert engine.store.load(second).error == (
        "Cancelled: its step is run again, by children of its own"
    )


def test_child_that_somebody_drives_again_is_waited_for():
    fault = Fault(2)
    engine = engine_of(working(fault, on_item_error="skip"))
    execution = engine.create({"items": [1, 2]})
    engine.awaken = lambda woken: None
    engine.drive(execution.id)
    child_engine = engine.sibling("parent/each")
    first, second = (child.id for child in engine.store.children(execution.id, "each"))
    child_engine.drive(first)
    child_engine.drive(second)
    fault.bad.clear()

    # The parent was told that all have ended; before it is driven, one of them is to go on.
    engine.store.transition(
        second,
        control.retry(child_engine.definition, from_step=None, input=None, by=None, history=[]),
    )
    waiting = engine.drive(execution.id)
    child_engine.drive(second)
    engine.drive(execution.id)

    assert waiting.status == ExecutionStatus.HALTED
    assert engine.result(execution.id).output == [10, 20]


def test_crash_while_children_are_written_finds_them_again(recovered, monkeypatch):
    monkeypatch.setattr("django_workflows.core.engine.fanning.BATCH", 2)
    fault = Fault()
    engine = engine_of(working(fault))
    write, calls = engine.store.create_children, []

    def dying(parent, fence, children):
        calls.append(len(children))
        if len(calls) == 2:
            raise Crash
        return write(parent, fence, children)

    monkeypatch.setattr(engine.store, "create_children", dying)
    execution = engine.create({"items": [1, 2, 3, 4, 5]})
    with pytest.raises(Crash):
        engine.drive(execution.id)
    work_off(engine)
    before = [child.id for child in engine.store.children(execution.id, "each")]

    recovered(engine, execution.id)

    assert engine.result(execution.id).output == [10, 20, 30, 40, 50]
    assert [child.id for child in engine.store.children(execution.id, "each")][:2] == before
    assert sorted(fault.done) == [1, 2, 3, 4, 5]


def test_crash_of_a_second_attempt_keeps_what_that_one_has_lost(recovered, monkeypatch):
    monkeypatch.setattr("django_workflows.core.engine.fanning.BATCH", 1)
    fault = Fault(1, 2)
    engine = engine_of(working(fault))
    failed = engine.run({"items": [1, 2, 3]})
    engine.store.transition(
        failed.execution_id,
        control.retry(engine.definition, from_step=None, input=None, by=None, history=[]),
    )
    write, calls = engine.store.create_children, []

    def dying(parent, fence, children):
        calls.append(len(children))
        if len(calls) == 2:
            raise Crash
        return write(parent, fence, children)

    monkeypatch.setattr(engine.store, "create_children", dying)
    with pytest.raises(Crash):
        engine.drive(failed.execution_id)
    work_off(engine)  # the one that was written fails once more
    recovered(engine, failed.execution_id)

    result = engine.result(failed.execution_id)
    assert "[0] ValueError: bad 1" in result.error
    assert len(ids(engine, failed.execution_id)) == 3


def test_crash_of_a_second_attempt_keeps_what_was_lost_by_then(recovered, monkeypatch):
    fault = Fault(1)
    engine = engine_of(
        each_of(Halt("?", name="ask"), Call(fault, name="x"), retry=Retry(attempts=2, delay=0))
    )
    halted = engine.run({"items": [1, 2, 3]})
    first, second, third = ids(engine, halted.execution_id)
    suspend = engine.store.suspend

    def dying(after, *rest, **options):
        if after.id == halted.execution_id:
            raise Crash
        return suspend(after, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(engine.store, "suspend", dying)
        with pytest.raises(Crash):  # in the second attempt, which drives the first child on
            engine.resume(first)
    work_off(engine)
    fault.bad.add(2)
    engine.resume(second)

    recovered(engine, halted.execution_id)

    assert ids(engine, halted.execution_id) == [first, second, third]
    assert history(engine, first, EntryAction.FAILED) == ["x", "x"]
    assert "[0] ValueError: bad 1" in engine.result(halted.execution_id).error
