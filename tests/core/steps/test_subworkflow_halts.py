"""Children that halt."""

import pytest
from django.db.models import F

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import (
    Approval,
    Call,
    End,
    Halt,
    SubWorkflow,
)
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.core.workflow import Workflow
from tests.core.flows import engine_of, flow


class Asks(Workflow):
    ask = Halt("child?", data={"n": 1})
    done = End(result=F("ask"))


def parent_of(child, **options):
    return flow("Parent", sub=SubWorkflow(child, **options), after=End(result=F("ctx")))


@pytest.mark.parametrize("through", ["parent", "child"])
def test_halt_of_the_child_is_resumed_through_either(through):
    engine = engine_of(parent_of("asks"), Asks)

    halted = engine.run()
    (kid,) = engine.store.find(parent=halted.execution_id)
    engine.resume(halted.execution_id if through == "parent" else kid.id, response=5)

    (wait,) = halted.waits
    assert (wait.kind, wait.key, wait.step) == (WaitKind.CHILD, kid.id, "sub")
    assert halted.halt.data == {"execution_id": kid.id, "workflow_id": "asks"}
    assert engine.result(kid.id).output == 5
    assert engine.result(halted.execution_id).output == {"sub": 5}
    assert engine.store.waits(halted.execution_id)[0].status == WaitStatus.TAKEN


def test_child_that_halts_twice_is_the_same_child():
    twice = flow("Twice", a=Halt(), b=Halt(), done=End(result=[F("a"), F("b")]))
    engine = engine_of(parent_of("twice"), twice)

    halted = engine.run()
    half = engine.resume(halted.execution_id, response=1)
    result = engine.resume(halted.execution_id, response=2)

    assert half.status == ExecutionStatus.HALTED
    assert result.output == {"sub": [1, 2]}
    assert len(engine.store.find(parent=halted.execution_id)) == 1


def test_child_that_fails_after_its_halt_fails_the_parent():
    engine = engine_of(parent_of("late"), flow("Late", a=Halt(), b=Call(lambda: 1 / 0)))

    halted = engine.run()
    result = engine.resume(halted.execution_id)

    assert result.status == ExecutionStatus.FAILED
    assert "is failed: ZeroDivisionError" in result.error


def test_answer_to_a_grandchild_is_carried_down_and_the_results_up():
    middle = flow("Middle", sub=SubWorkflow("asks"), done=End(result=["middle", F("sub")]))
    engine = engine_of(parent_of("middle"), middle, Asks)

    halted = engine.run()
    result = engine.resume(halted.execution_id, response="x")

    assert result.output == {"sub": ["middle", "x"]}


def test_approval_in_a_child_is_given_through_the_parent():
    engine = engine_of(parent_of("review"), flow("Review", ask=Approval("?")))

    halted = engine.run()
    result = engine.resume(halted.execution_id, approved=True, by="ann")

    assert result.output["sub"]["by"] == "ann"


def test_child_that_ended_before_its_parent_halted_is_not_waited_for():
    engine = None

    def end_the_child(event):
        if event.name == "workflow.halted" and event.workflow_id == "asks":
            # Somebody is quicker than the parent, which has not halted yet.
            engine.resume(event.execution_id, response="quick")

    engine = engine_of(parent_of("asks"), Asks, emit=end_the_child)

    assert engine.run().output == {"sub": "quick"}
