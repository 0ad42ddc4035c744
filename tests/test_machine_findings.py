"""What the state machine has found, each as the smallest example of it."""

from contextlib import suppress
from datetime import timedelta

import pytest

from django_workflows.core import control
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.steps import (
    Approval,
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    SubWorkflow,
    WaitForEvent,
)
from django_workflows.core.waits import Answer, InboxEvent
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import Crash, engine_of, flow

YES = Answer(approved=True, by="ann")


class DyingOverAChild(MemoryStore):
    """Its process dies when the first child is written, and before its parent is."""

    has_died = False

    def create_children(self, *arguments):
        children = super().create_children(*arguments)
        if not self.has_died:
            self.has_died = True
            raise Crash
        return children


@pytest.fixture
def recovered(travel):
    """Drive an execution on whose driver crashed, once its lease has run out."""

    def drive(engine, execution_id):
        travel(engine.limits.lease.total_seconds() + 1)
        return engine.drive(execution_id)

    return drive


def died(engine):
    """Start an execution, and let its driver die."""
    execution = engine.create()
    with suppress(Crash):
        engine.drive(execution.id)
    return execution.id


def fail():
    raise ValueError("broken")


def retried(engine, execution_id, from_step):
    """Drive an execution again from one of its steps."""
    history = engine.store.entries(execution_id)
    decide = control.retry(
        engine.definition, from_step=from_step, input=None, by=None, history=history
    )
    engine.store.transition(execution_id, decide)
    return engine.drive(execution_id)


# Children that were started, and whose parent died before it could write that it waits ------------


def test_child_that_nobody_waits_for_yet_ends_with_the_deadline_of_its_parent(recovered):
    child = flow("Child", ask=Halt("?"))
    parent = flow("Parent", timeout=timedelta(seconds=30), kid=SubWorkflow("child"))
    engine = engine_of(parent, child, store=DyingOverAChild())
    parent_id = died(engine)

    result = recovered(engine, parent_id)

    assert result.error.startswith("WorkflowTimeout: ")
    (kid,) = engine.store.find(parent=parent_id)
    assert kid.status == ExecutionStatus.CANCELLED


def test_child_of_a_branch_that_is_not_gone_into_again_ends_with_its_parent(recovered):
    child = flow("Child", ask=Halt("?"))
    branches = {"left": Approval("ok?", name="asked"), "right": SubWorkflow("child", name="kid")}
    parent = flow("Parent", both=Parallel(branches, wait="any"), done=End())
    engine = engine_of(parent, child, store=DyingOverAChild())
    parent_id = died(engine)
    (asked,) = engine.store.waits(parent_id)
    engine.store.settle(parent_id, asked.id, YES)

    result = recovered(engine, parent_id)

    assert result.status == ExecutionStatus.COMPLETED
    (kid,) = engine.store.find(parent=parent_id)
    assert kid.status == ExecutionStatus.CANCELLED


# Failures that no step tells of -------------------------------------------------------------------


def test_history_tells_of_a_deadline_that_has_passed(travel):
    engine = engine_of(flow(timeout=timedelta(seconds=30), ask=Halt("?")))
    halted = engine.run()
    (asked,) = halted.waits
    travel(31)
    engine.store.settle(halted.execution_id, asked.id, Answer(response=1))

    result = engine.drive(halted.execution_id)

    last = engine.store.entries(halted.execution_id)[-1]
    assert (last.action, last.step_id) == (EntryAction.TIMED_OUT, "ask")
    assert last.error == result.error


def test_history_tells_of_an_execution_that_was_poisoned(recovered):
    def die():
        raise Crash

    engine = engine_of(Call(die))
    execution_id = died(engine)
    for _ in range(engine.limits.claims):
        with suppress(Crash):
            result = recovered(engine, execution_id)

    (entry,) = engine.store.entries(execution_id)
    assert (entry.action, entry.step_id) == (EntryAction.FAILED, "it")
    assert entry.error == result.error


def test_history_tells_of_a_compensation_that_was_given_up_as_poisoned(recovered):
    def die():
        raise Crash

    workflow = flow(
        book=Call(lambda: 1, compensate="unbook"), bad=Call(fail), end=End(), unbook=Call(die)
    )
    engine = engine_of(workflow)
    execution_id = died(engine)
    for _ in range(engine.limits.claims + 1):
        with suppress(Crash):
            result = recovered(engine, execution_id)

    last = engine.store.entries(execution_id)[-1]
    assert result.status == ExecutionStatus.FAILED
    assert (last.action, last.step_id) == (EntryAction.FAILED, "unbook:book")
    assert last.error.startswith("StepError: Poisoned: claimed 6 times in a row")


# Variables that belong to a step which is not the current one any more ----------------------------


def test_error_is_gone_with_the_step_it_was_for_when_an_earlier_one_is_retried():
    broken = [True, True]

    def shaky():
        if broken and broken.pop():
            fail()

    workflow = flow(
        work=Call(shaky, on_error="rescue"),
        done=End(),
        rescue=Call(lambda state: fail() if broken else 1),
        rescued=End(),
    )
    engine = engine_of(workflow)
    failed = engine.run()
    assert engine.store.load(failed.execution_id).ctx["_last_error"]["step"] == "work"

    result = retried(engine, failed.execution_id, "work")

    assert result.status == ExecutionStatus.COMPLETED
    assert engine.store.load(failed.execution_id).ctx == {"rescue": 1}


def test_error_is_there_for_the_step_it_is_for_when_that_is_retried():
    seen = []

    def rescue(state):
        seen.append(state.ctx["_last_error"]["message"])
        if len(seen) == 1:
            fail()

    workflow = flow(
        work=Call(fail, on_error="rescue"), done=End(), rescue=Call(rescue), rescued=End()
    )
    engine = engine_of(workflow)
    failed = engine.run()

    result = retried(engine, failed.execution_id, "rescue")

    assert result.status == ExecutionStatus.COMPLETED
    assert seen == ["broken", "broken"]
    assert engine.store.load(failed.execution_id).ctx == {"rescue": None}


def test_names_of_a_loop_are_gone_with_it_when_an_earlier_step_is_retried():
    broken = [True]
    body = Call(lambda: fail() if broken.pop() else 1, name="work")
    workflow = flow(first=Call(lambda: 1), each=Loop(over=["a"], do=body), done=End())
    engine = engine_of(workflow)
    failed = engine.run()
    broken.append(False)

    result = retried(engine, failed.execution_id, "first")

    assert result.status == ExecutionStatus.COMPLETED
    assert engine.store.load(failed.execution_id).ctx == {"first": 1, "work": 1, "each": [1]}


def test_names_of_a_loop_in_a_loop_are_gone_when_the_outer_one_is_given_up():
    inner = Loop(over=[1], as_="b", index_as="j", do=Call(fail, name="work"), name="inner")
    outer = Loop(over=[1], as_="a", index_as="i", do=inner, on_error="rescue")
    engine = engine_of(flow(outer=outer, done=End(), rescue=Call(lambda: 1), rescued=End()))

    result = engine.run()

    assert engine.store.load(result.execution_id).ctx == {"rescue": 1}


# Events whose sender died ------------------------------------------------------------------------


def test_event_whose_sender_died_goes_to_the_oldest_wait():
    engine = engine_of(flow(paid=WaitForEvent("paid")))
    oldest = engine.run()
    engine.store.add_event(InboxEvent(name="paid", data=1))

    engine.run()

    (wait,) = engine.store.waits(oldest.execution_id)
    assert wait.answers[-1].response == 1
