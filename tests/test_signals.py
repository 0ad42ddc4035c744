"""Signals: sent robustly, after commit, with the workflow class as their sender."""

import pytest
from django.db import transaction

from django_workflows import Retry, api, cancel, load_workflow, registry, resume, run, skip, start
from django_workflows.core.execution import ExecutionStatus
from django_workflows.signals import (
    step_finished,
    workflow_finished,
    workflow_halted,
    workflow_started,
)
from django_workflows.steps import Approval, Call, End, Halt, SubWorkflow

pytestmark = pytest.mark.django_db(transaction=True)

SIGNALS = [workflow_started, workflow_finished, workflow_halted, step_finished]


class Receiver:
    """Keeps what it was sent, and how the execution stood at that moment."""

    def __init__(self):
        self.senders, self.events, self.stored = [], [], []

    def __call__(self, sender, event, **kwargs):
        self.senders.append(sender)
        self.events.append(event)
        self.stored.append(api.get(event.execution_id).status)

    @property
    def names(self):
        return [event.name for event in self.events]


@pytest.fixture
def receiver():
    receiver = Receiver()
    for signal in SIGNALS:
        signal.connect(receiver)
    yield receiver
    for signal in SIGNALS:
        signal.disconnect(receiver)


def fail():
    raise ValueError("broken")


def test_run_tells_how_it_went(registered, receiver):
    workflow = registered("told", one=Call(lambda: 1), ask=Halt("?"))

    halted = run(workflow)
    resume(halted.execution_id, response=2)

    assert receiver.names == [
        "workflow.started",
        "step.completed",
        "workflow.halted",
        "step.completed",
        "workflow.completed",
    ]
    assert receiver.senders == [workflow] * 5
    assert {event.execution_id for event in receiver.events} == {halted.execution_id}
    assert receiver.events[1].step == "one"
    assert receiver.events[-1].data == {"result": 2}


def test_transition_is_written_before_it_is_told(registered, receiver):
    run(registered("told", ask=Halt("?")))

    assert dict(zip(receiver.names, receiver.stored, strict=True)) == {
        "workflow.started": ExecutionStatus.RUNNING,
        "workflow.halted": ExecutionStatus.HALTED,
    }


def test_failure_and_what_was_undone_are_told(registered, receiver):
    workflow = registered(
        "undone",
        book=Call(lambda: 1, compensate="unbook"),
        work=Call(fail, retry=Retry(attempts=2, delay=0)),
        end=End(),
        unbook=Call(lambda: 2),
    )

    run(workflow)

    assert receiver.names == [
        "workflow.started",
        "step.completed",
        "step.failed",
        "step.compensated",
        "workflow.failed",
    ]


def test_what_people_do_is_told(registered, receiver):
    workflow = registered("told", ask=Halt("?"), review=Approval("?"))
    halted = run(workflow).execution_id
    skip(halted, output=1, reason="known")
    cancel(halted, "no need")

    skipped = next(event for event in receiver.events if event.name == "step.skipped")
    assert (skipped.step, skipped.data) == ("ask", {"output": 1, "reason": "known"})
    assert receiver.names[-1] == "workflow.cancelled"
    assert receiver.events[-1].data == {"reason": "no need"}


def test_rolled_back_cancel_is_not_told(registered, receiver):
    halted = run(registered("told", ask=Halt("?"))).execution_id
    before = list(receiver.names)

    with transaction.atomic():
        cancel(halted)
        transaction.set_rollback(True)

    assert receiver.names == before


def test_start_is_told_once_it_is_committed_and_driven(registered, receiver):
    with transaction.atomic():
        start(registered("told", work=Call(lambda: 1)))
        assert receiver.names == []

    assert receiver.names == ["workflow.started", "step.completed", "workflow.completed"]


def test_child_is_told_under_its_own_name(registered, receiver):
    child = registered("child", work=Call(lambda: 1))
    parent = registered("parent", kid=SubWorkflow("child"))

    run(parent)

    finished = [
        (event.workflow_id, sender)
        for event, sender in zip(receiver.events, receiver.senders, strict=True)
        if event.name == "workflow.completed"
    ]
    assert finished == [("child", child), ("parent", parent)]


def test_receiver_may_ask_for_one_workflow_alone(registered):
    wanted = registered("wanted", work=Call(lambda: 1))
    other = registered("other", work=Call(lambda: 1))
    receiver = Receiver()
    workflow_finished.connect(receiver, sender=wanted)

    run(other)
    run(wanted)

    workflow_finished.disconnect(receiver, sender=wanted)
    assert receiver.senders == [wanted]


def test_receiver_that_raises_is_logged_and_harmless(registered, receiver, caplog):
    def broken(sender, event, **kwargs):
        raise RuntimeError("the mail server is down")

    for signal in SIGNALS:
        signal.connect(broken)
    try:
        result = run(registered("told", work=Call(lambda: 1)))
    finally:
        for signal in SIGNALS:
            signal.disconnect(broken)

    assert result.status == ExecutionStatus.COMPLETED
    assert len(receiver.names) == 3
    records = [record for record in caplog.records if "Receiver" in record.message]
    assert [record.execution_id for record in records] == [result.execution_id] * 3
    assert "of workflow.started failed" in records[0].message
    assert "the mail server is down" in caplog.text


def test_sender_of_a_document_is_its_definition(receiver):
    definition = load_workflow("id: written\nname: Written\nsteps:\n  - {id: done, type: end}\n")
    try:
        run("written")
    finally:
        registry.remove("written")

    assert set(map(id, receiver.senders)) == {id(definition)}


def test_workflow_that_is_not_registered_here_has_no_sender(registered, receiver):
    halted = run(registered("told", ask=Halt("?"))).execution_id
    registry.remove("told")

    cancel(halted)

    assert (receiver.names[-1], receiver.senders[-1]) == ("workflow.cancelled", None)


def test_without_receivers_nothing_is_sent(registered):
    assert run(registered("quiet", work=Call(lambda: 1))).status == ExecutionStatus.COMPLETED
