"""A log record for each transition."""

import logging

import pytest

from django_workflows.core.execution import Event
from django_workflows.core.logs import log
from django_workflows.steps import Approval, Call
from tests.core.flows import engine_of, flow


@pytest.fixture
def records(caplog):
    caplog.set_level(logging.DEBUG, "django_workflows")
    return lambda: caplog.records


def test_each_transition_is_a_record_with_its_facts(records):
    engine = engine_of(flow(work=Call(lambda: 1), ask=Approval("?")))

    halted = engine.run()
    engine.resume(halted.execution_id, approved=True)

    facts = [(record.event, record.step, record.attempt) for record in records()]
    assert facts == [
        ("workflow.started", None, None),
        ("step.started", "work", 1),
        ("step.completed", "work", 1),
        ("step.started", "ask", 1),
        ("step.halted", "ask", 1),
        ("workflow.halted", "ask", None),
        ("workflow.resumed", None, None),
        ("step.started", "ask", 1),
        ("step.completed", "ask", 1),
        ("workflow.completed", None, None),
    ]
    assert {record.execution_id for record in records()} == {halted.execution_id}
    assert {record.workflow_id for record in records()} == {"flow"}


def test_what_fails_is_logged_once_with_its_facts(records):
    def fail():
        raise ValueError("broken")

    engine_of(flow(work=Call(fail))).run()

    failures = [record for record in records() if record.levelno >= logging.WARNING]
    assert [(record.step, record.attempt) for record in failures] == [("work", 1), ("work", 1)]
    assert [record.levelname for record in failures] == ["WARNING", "ERROR"]


def test_what_nobody_wants_to_read_is_not_made(caplog):
    caplog.set_level(logging.WARNING, "django_workflows")

    log(Event(name="step.completed", execution_id="1", workflow_id="flow", step="work"))

    assert caplog.records == []
