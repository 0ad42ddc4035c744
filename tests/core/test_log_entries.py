"""A log record for what a supervisor decides on an execution that nobody drives."""

import logging
from datetime import timedelta

import pytest

from django_workflows.core import clock
from django_workflows.core.execution import EntryAction
from django_workflows.steps import Approval, Call, Sleep
from tests.core.flows import engine_of, flow


@pytest.fixture
def woken(caplog, travel):
    """Travel by seconds, decide on all that is due of an engine, and return what is logged."""

    def wake(engine, seconds):
        caplog.clear()
        travel(seconds)
        engine.store.wake_due(clock.now())
        return caplog.records

    caplog.set_level(logging.INFO, "django_workflows")
    return wake


def facts(record):
    names = ("levelname", "workflow_id", "step", "attempt", "action")
    return tuple(getattr(record, name) for name in names)


def test_driver_that_lost_its_lease_is_a_warning_that_names_it(woken):
    engine = engine_of(flow(work=Call(lambda: 1)))
    execution = engine.create()
    engine.store.claim(execution.id, "host:1", timedelta(seconds=60))

    (record,) = woken(engine, 61)

    assert facts(record) == ("WARNING", "flow", "work", 1, EntryAction.ABANDONED)
    assert record.execution_id == execution.id
    assert record.getMessage() == f"Step work of execution {execution.id} abandoned by host:1"


@pytest.mark.parametrize("step", [Sleep(60), Approval("?", timeout=60)], ids=["timer", "timeout"])
def test_wait_whose_time_has_come_is_logged(woken, step):
    engine = engine_of(flow(it=step))
    halted = engine.run()

    (record,) = woken(engine, 61)

    assert facts(record) == ("INFO", "flow", "it", 1, EntryAction.RESUMED)
    assert record.execution_id == halted.execution_id


def test_reminder_is_left_to_its_event(woken):
    engine = engine_of(flow(it=Approval("?", remind_after=60)))
    engine.run()

    assert woken(engine, 61) == []
