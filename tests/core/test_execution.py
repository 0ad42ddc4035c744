import json
from dataclasses import fields, replace

import pytest

from django_workflows.core.execution import (
    Compensation,
    Entry,
    EntryAction,
    Event,
    Execution,
    ExecutionResult,
    ExecutionStatus,
    HaltResult,
    State,
)
from django_workflows.core.frames import Cursor
from django_workflows.core.ids import new_id
from django_workflows.core.records import Record
from django_workflows.core.waits import Answer, Cause, InboxEvent, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionFailed, PayloadError
from tests.stores.contract.records import at
from tests.values import SAMPLES, exact

EXECUTION = Execution(
    workflow_id="orders",
    workflow_version="2",
    status=ExecutionStatus.HALTED,
    input={"order_id": 7},
    ctx=SAMPLES,
    current_step="pay",
    frames=Cursor(at="pay", attempt=2, visits={"pay": 3}),
    result=SAMPLES,
    recover_to="pay",
    halt_data={"reason": "x"},
    error="ValueError: x",
    created_at=at(0),
    updated_at=at(1),
    started_at=at(2),
    finished_at=at(3),
    deadline_at=at(4),
    compensations=(Compensation(step="pay", target="refund", ctx={"item": (1,)}, attempt=2),),
    lease_owner="worker",
    lease_expires_at=at(5),
    fence=3,
    claims=1,
    attempt=2,
    parent=new_id(),
    parent_step="each",
    item=3,
    idempotency_key="key",
    subject="shop.order:7",
    started_by="alice",
    queue="slow",
    priority=5,
)


def through_json(record):
    return type(record).from_dict(json.loads(json.dumps(record.to_dict())))


def test_every_field_of_the_sample_differs_from_its_default():
    plain = Execution(workflow_id="x")

    same = [
        f.name for f in fields(Execution) if getattr(plain, f.name) == getattr(EXECUTION, f.name)
    ]

    assert same == []


@pytest.mark.parametrize(
    "record",
    [
        EXECUTION,
        Execution(workflow_id="orders"),
        Entry(
            execution_id="7",
            step_id="each[3]/pay",
            step_type="call",
            action=EntryAction.RETRIED,
            attempt=2,
            duration_ms=5,
            input=SAMPLES,
            output=SAMPLES,
            error="ValueError: x",
            traceback="…",
            by="alice",
            timestamp=at(0),
        ),
        Event(name="step.completed", execution_id="7", workflow_id="w", step="pay", data=SAMPLES),
        Answer(response=SAMPLES, approved=True, by="alice", at=at(0), cause=Cause.TIMEOUT),
        Wait(
            execution_id="7",
            step="review",
            kind=WaitKind.APPROVAL,
            status=WaitStatus.SETTLED,
            prompt="?",
            data=SAMPLES,
            resume_step="pay",
            approvers=("group:managers",),
            required=2,
            exclude_requester=True,
            wake_at=at(1),
            remind_at=at(2),
            key="paid:7",
            settled_at=at(3),
            answers=(Answer(approved=True, by="alice", at=at(0)), Answer(at=at(1))),
        ),
        InboxEvent(name="paid", key="7", data=SAMPLES, by="shop", sent_at=at(0), taken_by="x"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_record_round_trips_types_included(record):
    again = through_json(record)

    for field in fields(record):
        assert exact(getattr(again, field.name)) == exact(getattr(record, field.name))


def test_record_read_from_older_data_has_its_defaults():
    assert Wait.from_dict({"execution_id": "7", "step": "x", "id": "1"}).required == 1


def test_record_refuses_what_cannot_be_kept():
    with pytest.raises(PayloadError, match="object cannot be stored"):
        replace(EXECUTION, ctx={"x": object()}).to_dict()


def test_records_share_one_form():
    assert all(issubclass(kind, Record) for kind in (Execution, Entry, Event, Wait, Answer))


def test_state_round_trip_changes_nothing():
    result = EXECUTION.to_result()

    assert Execution.from_state(EXECUTION.to_state(), result) == EXECUTION


def test_state_round_trip_without_a_halt():
    execution = replace(EXECUTION, recover_to=None, halt_data=None, status=ExecutionStatus.FAILED)

    assert Execution.from_state(execution.to_state(), execution.to_result()) == execution


def test_from_state_without_an_origin_makes_a_new_record():
    state = State(execution_id="7", workflow_id="w", input={"a": 1}, ctx={"b": 2}, attempt=2)
    result = ExecutionResult(status=ExecutionStatus.COMPLETED, execution_id="7", output=3)

    execution = Execution.from_state(state, result)

    assert (execution.id, execution.input, execution.ctx) == ("7", {"a": 1}, {"b": 2})
    assert (execution.result, execution.status, execution.attempt) == (3, "completed", 2)


def test_state_shows_its_bookkeeping_by_name_only():
    state = EXECUTION.to_state()

    assert (state.started_by, state.subject) == ("alice", "shop.order:7")
    assert set(state.ctx) == set(SAMPLES)


def test_state_without_an_origin_knows_nobody():
    state = State(execution_id="7", workflow_id="w", current_step="pay")

    assert (state.started_by, state.subject, state.history) == (None, None, [])
    assert state.idempotency_key == "7:pay"


def test_with_and_without_ctx_return_copies():
    state = State(execution_id="7", workflow_id="w", ctx={"a": 1, "b": 2})

    assert state.with_ctx(c=3).ctx == {"a": 1, "b": 2, "c": 3}
    assert state.without_ctx("a", "nobody").ctx == {"b": 2}
    assert state.ctx == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("status", "final"),
    [
        (ExecutionStatus.PENDING, False),
        (ExecutionStatus.RUNNING, False),
        (ExecutionStatus.HALTED, False),
        (ExecutionStatus.COMPLETED, True),
        (ExecutionStatus.FAILED, True),
        (ExecutionStatus.CANCELLED, True),
    ],
)
def test_final_statuses(status, final):
    assert status.is_final is final


@pytest.mark.parametrize("status", [ExecutionStatus.FAILED, ExecutionStatus.CANCELLED])
def test_raise_for_status_names_the_error_and_its_cause(status):
    cause = ValueError("x")
    result = ExecutionResult(
        status=status, execution_id="7", error="ValueError: x", exception=cause
    )

    with pytest.raises(ExecutionFailed, match=f"7 is {status}: ValueError: x") as caught:
        result.raise_for_status()

    assert caught.value.__cause__ is cause


def test_raise_for_status_without_a_recorded_error():
    result = ExecutionResult(status=ExecutionStatus.CANCELLED, execution_id="7")

    with pytest.raises(ExecutionFailed, match="no error recorded"):
        result.raise_for_status()


@pytest.mark.parametrize("status", [ExecutionStatus.COMPLETED, ExecutionStatus.HALTED])
def test_raise_for_status_returns_what_has_not_failed(status):
    result = ExecutionResult(status=status, execution_id="7")

    assert result.raise_for_status() is result


def test_result_of_a_halt_takes_prompt_and_kind_from_the_first_wait():
    waits = [Wait(execution_id="7", step="review", kind=WaitKind.APPROVAL, prompt="Fine?")]

    result = EXECUTION.to_result(waits)

    assert result.halt == HaltResult(
        data={"reason": "x"}, resume_step="pay", prompt="Fine?", kind=WaitKind.APPROVAL
    )
    assert result.waits == tuple(waits)


def test_result_of_a_halt_without_its_waits():
    assert EXECUTION.to_result().halt.kind == WaitKind.HALT


def test_answer_of_a_wait_is_the_last_one_once_settled():
    answers = (Answer(by="alice"), Answer(by="bob"))
    wait = Wait(execution_id="7", step="x", answers=answers)

    assert wait.answer is None
    assert replace(wait, status=WaitStatus.SETTLED).answer.by == "bob"
    assert Wait(execution_id="7", step="x", status=WaitStatus.WITHDRAWN).answer is None


def test_topic_of_an_event_is_what_a_wait_asks_for():
    assert InboxEvent(name="paid", key="7").topic == "paid:7"


def test_event_as_a_block_of_an_event_stream():
    event = Event(name="step.completed", execution_id="7", workflow_id="w", data={"a": "x\ny"})

    name, data, *rest = event.to_sse().split("\n")

    assert name == "event: step.completed"
    assert Event.from_dict(json.loads(data.removeprefix("data: "))) == event
    assert rest == ["", ""]
