from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from django.db.models import F

from django_workflows.core.engine import Engine
from django_workflows.core.engine.limits import Limits
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import (
    Assign,
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    SubWorkflow,
)
from django_workflows.core.waits import Cause
from django_workflows.core.workflow import Workflow
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import Crash, answered, crashed, define, engine_of, flow, run


class Charge(Workflow):
    @dataclass
    class Input:
        amount: int

    done = End(result={"charged": F("input__amount")})


class Asks(Workflow):
    ask = Halt("child?", data={"n": 1})
    done = End(result=F("ask"))


class Fails(Workflow):
    bad = Call(lambda: 1 / 0)


def parent_of(child, **options):
    return flow("Parent", sub=SubWorkflow(child, **options), after=End(result=F("ctx")))


@pytest.mark.parametrize("child", ["charge", Charge], ids=["id", "class"])
def test_result_of_the_child_is_the_output(child):
    engine = engine_of(parent_of(child, input={"amount": "$input.total"}), Charge)

    result = engine.run({"total": 7}, queue="slow", started_by="alice")

    (kid,) = engine.store.find(parent=result.execution_id)
    assert result.output == {"sub": {"charged": 7}}
    assert (kid.workflow_id, kid.queue, kid.started_by) == ("charge", "slow", "alice")
    assert engine.store.entries(result.execution_id)[0].input == {"amount": 7}


def test_child_without_input():
    result = run(parent_of("child"), None, flow("Child", done=End(result=F("input"))))

    assert result.output == {"sub": {}}


def test_input_that_is_no_mapping_fails_the_step():
    result = run(parent_of("charge", input="$input.total"), {"total": 7}, Charge)

    assert result.error == "StepError: Step 'sub' needs a mapping as input, not 7."


def test_input_that_does_not_fit_the_child_fails_the_step():
    result = run(parent_of("charge", input={"amount": "x"}), None, Charge)

    assert result.error.startswith("InputError: Input of workflow 'charge' is not valid: amount")


def test_child_that_fails_is_the_failure_of_the_step():
    engine = engine_of(parent_of("fails"), Fails)

    result = engine.run()

    (kid,) = engine.store.find(parent=result.execution_id)
    assert result.error == (
        f"ChildFailed: Child {kid.id} of step 'sub' is failed: ZeroDivisionError: division by zero"
    )
    assert isinstance(result.exception.__cause__, ZeroDivisionError)


def test_failure_of_the_child_may_be_handled():
    workflow = flow(
        sub=SubWorkflow("fails", on_error="told"),
        never=End(),
        told=End(result=F("_last_error__class")),
    )

    assert run(workflow, None, Fails).output == "ChildFailed"


def test_each_round_has_a_child_of_its_own():
    workflow = flow(
        each=Loop(over=[1, 2], do=SubWorkflow("charge", input={"amount": F("item")}, name="sub"))
    )
    engine = engine_of(workflow, Charge)

    result = engine.run()

    assert result.output == [{"charged": 1}, {"charged": 2}]
    assert len(engine.store.find(parent=result.execution_id)) == 2


@pytest.mark.parametrize("threads", [Threads(8), Threads(0)], ids=str)
def test_children_of_two_branches_halt_both(threads):
    workflow = flow(both=Parallel(a=SubWorkflow("asks", name="x"), b=SubWorkflow("asks", name="y")))
    engine = engine_of(workflow, Asks, threads=threads)

    halted = engine.run()
    engine.resume(halted.execution_id, response=1, step="both/b/y")
    result = engine.resume(halted.execution_id, response=2)

    assert result.output == {"a": 2, "b": 1}


def test_crash_after_the_child_began_goes_on_with_that_child(recovered):
    ran = []
    crash = [Crash()]

    def work(state):
        ran.append(state.execution_id)
        if crash:
            raise crash.pop()
        return "done"

    engine = engine_of(parent_of("child"), flow("Child", work=Call(work)))

    execution_id = crashed(engine)
    (kid,) = engine.store.find(parent=execution_id)
    waiting = recovered(engine, execution_id)
    ended = engine.result(execution_id)

    assert ran == [kid.id] * len(ran)
    assert len(engine.store.find(parent=execution_id)) == 1
    assert (waiting.status, ended.output) == ("completed", {"sub": "done"})


def test_crash_after_the_child_halted_waits_for_that_child(recovered):
    crash = [Crash()]

    def emit(event):
        if event.name == "workflow.halted" and crash:
            raise crash.pop()

    engine = engine_of(parent_of("asks"), Asks, emit=emit)

    execution_id = crashed(engine)
    halted = recovered(engine, execution_id)
    result = engine.resume(execution_id, response=5)

    assert halted.status == ExecutionStatus.HALTED
    assert result.output == {"sub": 5}


def test_child_that_somebody_else_drives_is_waited_for(store):
    engine = None

    def drive_the_parent_again(state):
        """As a second driver would, whose own lease on the parent is the newer one."""
        (kid,) = store.find(workflow_id="child")
        assert engine.sibling("child").drive(kid.id) is None
        return "done"

    engine = engine_of(
        parent_of("child"), flow("Child", work=Call(drive_the_parent_again)), store=store
    )

    assert engine.run().output == {"sub": "done"}


def test_workflow_that_starts_itself_comes_to_an_end():
    engine = engine_of(flow("Endless", sub=SubWorkflow("endless")), limits=Limits(depth=4))

    result = engine.run()

    assert result.status == ExecutionStatus.FAILED
    assert "Children are nested deeper than 4: does a workflow start itself?" in result.error
    assert len(engine.store.find()) == 5  # it, and four generations


def test_timeout_bounds_the_child(travel):
    engine = engine_of(parent_of("asks", timeout=timedelta(minutes=1)), Asks)

    halted = engine.run()
    (kid,) = engine.store.find(parent=halted.execution_id)
    travel(61)
    result = engine.resume(halted.execution_id)

    assert abs(kid.deadline_at - kid.created_at - timedelta(minutes=1)) < timedelta(seconds=1)
    assert "WorkflowTimeout: The workflow passed its deadline" in result.error


@pytest.mark.parametrize(("own", "seconds"), [(None, 60), (10, 10), (100, 60)])
def test_timeout_never_prolongs_that_of_the_child(own, seconds):
    child = flow("Child", ask=Halt(), timeout=own and timedelta(seconds=own))
    engine = engine_of(parent_of("child", timeout=60), child)

    halted = engine.run()

    (kid,) = engine.store.find(parent=halted.execution_id)
    assert round((kid.deadline_at - kid.created_at).total_seconds()) == seconds


def test_child_that_was_cancelled_is_the_failure_of_the_step():
    engine = engine_of(parent_of("asks"), Asks)
    halted = engine.run()
    (kid,) = engine.store.find(parent=halted.execution_id)

    engine.store.save(replace(kid, status=ExecutionStatus.CANCELLED, error="Cancelled: x"))
    result = answered(engine, halted.execution_id, Cause.CHILD)

    assert result.error == f"ChildFailed: Child {kid.id} of step 'sub' is cancelled: Cancelled: x"


def test_child_of_a_compensated_parent_is_seen_by_its_compensation():
    seen = []
    workflow = flow(
        before=Assign(n=1),
        sub=SubWorkflow("charge", input={"amount": 7}),
        bad=Call(lambda: 1 / 0, on_error="refund"),
        never=End(),
        refund=Call(lambda state: seen.append(state.ctx["sub"])),
    )

    run(workflow, None, Charge)

    assert seen == [{"charged": 7}]


def test_unknown_child_fails_the_step():
    result = run(parent_of("charge"))

    assert result.status == ExecutionStatus.FAILED
    assert "charge" in result.error


def test_engine_on_its_own_knows_its_own_workflow_only():
    result = Engine(define(parent_of("charge")), MemoryStore()).run()

    assert result.error.startswith("UnknownWorkflow: No workflow 'charge' is registered")


def test_subworkflow_says_what_it_reads():
    step = SubWorkflow(Charge, input={"amount": "$total"})

    assert [str(ref) for ref in step.references()] == ["$total"]
    assert step.workflow_id == "charge"
    assert list(step.workflows()) == ["charge"]


def test_problem_of_a_subworkflow():
    assert list(SubWorkflow("x", timeout=0).problems()) == ["timeout must be positive, not 0"]
    assert list(SubWorkflow("x", timeout=1).problems()) == []
    assert list(SubWorkflow("x").problems()) == []
