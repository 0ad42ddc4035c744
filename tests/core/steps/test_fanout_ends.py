"""ForEach: what its children come to where the parent ends."""

from datetime import timedelta

import pytest
from django.db.models import F

from django_workflows.core import clock
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Assign, Call, End, ForEach, Halt, Parallel
from tests.core.fanning import Fault, each_of, statuses, work_off
from tests.core.flows import Crash, define, engine_of, flow, run


def test_parent_that_fails_elsewhere_takes_its_children_along():
    workflow = flow(
        "Parent",
        both=Parallel(
            a=ForEach([1, 2], do=Halt("?", name="ask"), name="each"),
            b=Call(lambda: 1 / 0, name="bad"),
        ),
    )
    engine = engine_of(workflow, threads=Threads(0))

    result = engine.run()

    assert result.status == ExecutionStatus.FAILED
    assert statuses(engine, result.execution_id, "both/a/each") == ["cancelled", "cancelled"]


def test_parent_past_its_deadline_takes_its_children_along(travel):
    workflow = each_of(Halt("?", name="ask"))
    workflow.timeout = timedelta(seconds=60)
    engine = engine_of(workflow)
    halted = engine.run({"items": [1, 2]})

    travel(61)
    for due in engine.store.wake_due(clock.now()):
        engine.drive(due.id)

    assert engine.result(halted.execution_id).error.startswith("WorkflowTimeout: ")
    assert statuses(engine, halted.execution_id) == ["cancelled", "cancelled"]


def test_parent_given_up_while_children_are_written_takes_them_along(recovered, monkeypatch):
    engine = engine_of(each_of(Halt("?", name="ask")))
    execution = engine.create({"items": [1, 2]})
    suspend = engine.store.suspend

    def dying(after, *rest, **options):
        if after.id == execution.id:
            raise Crash
        return suspend(after, *rest, **options)

    monkeypatch.setattr(engine.store, "suspend", dying)
    for _ in range(engine.limits.claims):
        with pytest.raises(Crash):
            recovered(engine, execution.id)
    work_off(engine)

    recovered(engine, execution.id)

    result = engine.result(execution.id)
    assert "Poisoned" in result.error
    assert [str(child.status) for child in engine.store.children(execution.id, "each")] == [
        "cancelled",
        "cancelled",
    ]


def test_children_stop_before_what_the_parent_did_is_undone():
    seen = []

    def look(state):
        seen.extend(
            str(child.status) for child in engine.store.children(state.execution_id, "each")
        )

    workflow = flow(
        "Parent",
        book=Call(lambda: 1, compensate="unbook"),
        each=ForEach([1, 2], do=[Call(Fault(2), name="work"), Halt("?", name="ask")]),
        done=End(),
        unbook=Call(look),
    )
    engine = engine_of(workflow)

    engine.run()

    assert seen == ["cancelled", "failed"]


def test_step_that_undoes_it_all_is_run_where_the_parent_fails_later():
    undone = []
    workflow = flow(
        "Parent",
        each=ForEach([1, 2], do=Call(Fault(), name="x"), compensate="undo"),
        bad=Call(lambda: 1 / 0),
        done=End(),
        undo=Call(lambda state: undone.append(state.ctx["each"])),
    )

    run(workflow)

    assert undone == [[10, 20]]


def test_step_of_a_child_is_undone_where_that_child_fails():
    undone = []
    workflow = flow(
        "Parent",
        rate=Assign(rate=5),
        each=ForEach(
            [1, 2],
            do=[
                Call(lambda state: state.ctx["item"] * 10, name="book", compensate="unbook"),
                Call(Fault(2), name="work"),
            ],
            on_item_error="skip",
        ),
        done=End(result=F("each")),
        unbook=Call(lambda state: undone.append((state.ctx["rate"], state.ctx["book"]))),
    )

    assert run(workflow).output == [10]
    assert undone == [(5, 20)]


def test_definition_knows_whether_it_fans_out():
    assert define(each_of(Call(lambda: 1, name="x"))).fans_out
    assert not define(flow("Plain", x=Call(lambda: 1))).fans_out


def test_branch_that_is_not_needed_any_more_takes_its_children_along():
    workflow = flow(
        "Parent",
        race=Parallel(
            wait="any",
            a=ForEach([1, 2], do=Halt("?", name="x"), name="each"),
            b=Halt("?", name="ask"),
        ),
        after=Halt("and now?"),
    )
    engine = engine_of(workflow)
    halted = engine.run()

    engine.resume(halted.execution_id, step="race/b/ask")

    assert engine.result(halted.execution_id).status == ExecutionStatus.HALTED
    assert statuses(engine, halted.execution_id, "race/a/each") == ["cancelled", "cancelled"]
