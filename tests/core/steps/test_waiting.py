"""Timers and events."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from django.db.models import F

from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import (
    Call,
    End,
    Sleep,
    SleepUntil,
    WaitForEvent,
)
from django_workflows.core.waits import Cause, InboxEvent, WaitKind
from tests.core.flows import answered, engine_of, flow, run

CTX = End(result=F("ctx"))


# Sleep ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "delay", [90, 90.0, timedelta(seconds=90), "$input.delay", F("input__delay")]
)
def test_sleep_wakes_after_its_delay(delay):
    engine = engine_of(flow(before=Call(lambda: 1), it=Sleep(delay)))

    halted = engine.run({"delay": 90})
    ended = answered(engine, halted.execution_id, Cause.TIMER)

    (wait,) = halted.waits
    assert wait.kind == WaitKind.TIMER
    assert abs(wait.wake_at - wait.opened_at - timedelta(seconds=90)) < timedelta(seconds=1)
    assert halted.halt.data == {"until": wait.wake_at}
    assert ended.output == 1  # a sleep has no output


@pytest.mark.parametrize("delay", [-1, "soon", True, "$nothing", [1]])
def test_sleep_for_what_is_no_duration_fails(delay):
    result = run(Sleep(delay))

    assert result.error.startswith("StepError: Step 'it' cannot sleep for ")
    assert result.error.endswith("give seconds.")


@pytest.mark.parametrize("delay", [1e12, 10**400, timedelta.max, float("nan"), float("inf")])
def test_sleep_for_longer_than_calendars_go_fails(delay):
    result = run(Sleep(delay))

    assert result.error.startswith("StepError: Step 'it' cannot sleep for ")
    assert result.error.endswith(" seconds: give 100 years at most.")


@pytest.mark.parametrize(
    "moment", [datetime(2040, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), "$input.at"]
)
def test_sleep_until_a_moment(moment):
    engine = engine_of(SleepUntil(moment))

    halted = engine.run({"at": datetime(2040, 1, 1, tzinfo=UTC)})
    ended = answered(engine, halted.execution_id, Cause.TIMER)

    assert halted.waits[0].wake_at == datetime(2040, 1, 1, tzinfo=UTC)
    assert ended.status == ExecutionStatus.COMPLETED


@pytest.mark.parametrize("moment", [datetime(2040, 1, 1), "tomorrow", None])  # noqa: DTZ001
def test_sleep_until_what_is_no_aware_moment_fails(moment):
    assert run(SleepUntil(moment)).error.endswith("give an aware datetime.")


def test_sleep_until_a_moment_that_is_none_in_utc_fails():
    moment = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))

    assert run(SleepUntil(moment)).error.endswith("in UTC that is no date.")


def test_sleeps_say_what_they_read():
    assert [str(ref) for ref in Sleep("$a").references()] == ["$a"]
    assert [str(ref) for ref in SleepUntil(F("b")).references()] == ["$b"]


# WaitForEvent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "topic"), [("$input.id", "paid:7"), ("", "paid:"), ("$nothing", "paid:"), (0, "paid:0")]
)
def test_wait_for_event_asks_for_its_name_and_key(key, topic):
    result = run(WaitForEvent("paid", key=key), {"id": 7})

    (wait,) = result.waits
    assert (wait.kind, wait.key) == (WaitKind.EVENT, topic)


def test_event_is_the_output():
    engine = engine_of(WaitForEvent("paid"))
    halted = engine.run()

    result = answered(engine, halted.execution_id, Cause.EVENT, response={"total": 5})

    assert result.output == {"total": 5}


def test_event_that_came_first_is_taken_at_once(store):
    store.add_event(InboxEvent(name="paid", key="7", data={"total": 5}, by="shop"))
    engine = engine_of(WaitForEvent("paid", key=F("input__id")), store=store)

    result = engine.run({"id": 7})

    assert result.output == {"total": 5}
    assert store.entries(result.execution_id)[-1].by == "shop"


def test_event_for_another_key_is_left(store):
    store.add_event(InboxEvent(name="paid", key="8"))

    result = run(WaitForEvent("paid", key=F("input__id")), {"id": 7}, store=store)

    assert result.status == ExecutionStatus.HALTED


def test_each_event_is_taken_once_and_the_oldest_first(store):
    for n in (1, 2):
        store.add_event(InboxEvent(name="paid", data=n, sent_at=clock.now() + timedelta(n)))
    engine = engine_of(
        flow(a=WaitForEvent("paid"), b=WaitForEvent("paid"), done=CTX, c=WaitForEvent("paid")),
        store=store,
    )

    assert engine.run().output == {"a": 1, "b": 2}


def test_event_that_does_not_come_in_time():
    workflow = flow(
        it=WaitForEvent("paid", timeout=60, on_timeout="late"), done=CTX, late=End(result="late")
    )
    engine = engine_of(workflow)
    halted = engine.run()

    result = answered(engine, halted.execution_id, Cause.TIMEOUT)

    assert halted.waits[0].wake_at is not None
    assert result.output == "late"


def test_event_that_does_not_come_in_time_without_on_timeout_fails():
    engine = engine_of(WaitForEvent("paid", timeout=timedelta(minutes=1)))
    halted = engine.run()

    result = answered(engine, halted.execution_id, Cause.TIMEOUT)

    assert result.error == "WaitTimeout: Step 'it' waited longer than 60 s."


def test_wait_for_event_says_where_it_may_go_and_what_it_reads():
    step = WaitForEvent("paid", key="$a", timeout=1, on_timeout="late")

    assert list(step.targets()) == ["late"]
    assert list(WaitForEvent("paid").targets()) == []
    assert [str(ref) for ref in step.references()] == ["$a"]
