"""Past its deadline an execution is undone by the book, and then no deadline disturbs it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from django_workflows.core import clock
from django_workflows.core.decisions import Due, DueReason, wake_up
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import NotResumable
from django_workflows.steps import Call, Halt, Loop
from tests.core.flows import engine_of, flow


def failing():
    raise ValueError("the provider is down")


@pytest.fixture
def late(travel):
    """An engine, and an execution past its deadline that pauses before its next try to undo."""
    engine = engine_of(
        flow(
            timeout=timedelta(seconds=10),
            paid=Call(lambda: 1, compensate="refund"),
            hold=Halt("?", next="hold"),
            refund=Call(failing, retry=Retry(attempts=2, delay=60)),
        )
    )
    halted = engine.run()
    travel(11)
    (woken,) = engine.store.wake_due(clock.now())
    engine.drive(woken.id)
    return engine, halted.execution_id


def test_pause_of_a_compensation_is_not_cut_short_by_the_deadline(late):
    engine, execution_id = late
    paused = engine.store.load(execution_id)
    (wait,) = engine.result(execution_id).waits

    assert paused.status == ExecutionStatus.HALTED
    assert wait.kind == WaitKind.RETRY
    assert paused.error.startswith("WorkflowTimeout")
    assert engine.store.due(clock.now()) == []
    assert engine.store.wake_due(clock.now()) == []


def test_compensation_goes_on_once_its_pause_is_over(late, travel):
    engine, execution_id = late
    travel(60)

    (woken,) = engine.store.wake_due(clock.now())
    ended = engine.drive(woken.id)

    assert ended.status == ExecutionStatus.FAILED
    assert "could not be undone: ValueError: the provider is down" in ended.error
    assert engine.store.load(execution_id).deadline_at is None


def test_deadline_is_no_error_of_the_steps_inside_a_compensation(travel):
    undone = []

    def dawdle():
        travel(11)
        failing()

    refund = Loop(over=[1, 2], do=[Call(lambda: undone.append(1), name="each")])
    engine = engine_of(
        flow(
            timeout=timedelta(seconds=10),
            paid=Call(lambda: 1, compensate="refund"),
            slow=Call(dawdle, next="slow"),
            refund=refund,
        )
    )

    result = engine.run()

    assert result.error == "ValueError: the provider is down"
    assert undone == [1, 1]


def test_one_that_paused_before_deadlines_were_cleared_is_left_alone(late, travel):
    engine, execution_id = late
    stored = engine.store.load(execution_id)
    engine.store.save(replace(stored, deadline_at=stored.created_at))

    assert engine.store.wake_due(clock.now()) == []

    travel(60)
    (woken,) = engine.store.wake_due(clock.now())
    assert engine.drive(woken.id).status == ExecutionStatus.FAILED


def test_deadline_of_what_is_being_undone_is_nothing_to_decide_on():
    now = clock.now()
    undoing = Execution(
        workflow_id="orders", status=ExecutionStatus.HALTED, deadline_at=now, error="KeyError: 1"
    )
    decide = wake_up(Due(reason=DueReason.DEADLINE, execution_id=undoing.id), now)

    with pytest.raises(NotResumable):
        decide(undoing, [])

    assert decide(replace(undoing, error=None), []).execution.status == ExecutionStatus.PENDING
