from datetime import timedelta

import pytest

from django_workflows.core import clock
from django_workflows.reports import StepTimes, step_times, timing
from tests.factories import WorkflowEntryFactory, WorkflowExecutionFactory

pytestmark = pytest.mark.django_db

NOW = clock.now()


def begun(ago=0, **values):
    at = NOW - timedelta(minutes=ago)
    return WorkflowExecutionFactory(created_at=at, started_at=at, **values)


def took(milliseconds, execution=None, **values):
    return WorkflowEntryFactory(execution=execution or begun(), duration_ms=milliseconds, **values)


def test_a_workflow_that_never_ran_has_no_times():
    WorkflowEntryFactory(execution=WorkflowExecutionFactory(), duration_ms=1)

    assert step_times("orders") == []
    assert step_times("unknown") == []


@pytest.mark.parametrize(
    ("times", "p50", "p95"),
    [
        ([7], 7, 7),
        ([1, 9], 1, 9),
        ([3, 1, 2], 2, 3),
        (range(1, 101), 50, 95),
        (range(1, 21), 10, 19),
        ([0, 0, 0, 10_000_000_000], 0, 10_000_000_000),
    ],
)
def test_half_of_the_attempts_take_no_longer_and_nineteen_in_twenty(times, p50, p95):
    execution = begun()
    for milliseconds in times:
        took(milliseconds, execution)

    assert step_times("orders") == [
        StepTimes(step="charge", number=len(times), p50_ms=p50, p95_ms=p95, failed=0)
    ]


def test_steps_come_in_the_order_in_which_they_ran(django_assert_num_queries):
    execution = begun()
    for step in ("validate", "charge", "each[0]/pay", "each[1]/pay#2", "charge#2"):
        took(5, execution, step_id=step)

    with django_assert_num_queries(2):
        found = step_times("orders")

    assert [(times.step, times.number) for times in found] == [
        ("validate", 1),
        ("charge", 2),
        ("each/pay", 2),
    ]


def test_attempts_that_failed_are_counted():
    execution = begun()
    for action in ("retried", "retried", "failed", "completed"):
        took(5, execution, action=action)

    (times,) = step_times("orders")

    assert (times.number, times.failed) == (4, 3)


@pytest.mark.parametrize(
    "values",
    [
        {"action": "retried", "duration_ms": None},  # by a person, not an attempt
        {"action": "failed", "duration_ms": None},  # a deadline that has passed
        {"action": "halted", "duration_ms": 4},
        {"action": "skipped", "duration_ms": 4},
    ],
)
def test_what_is_no_attempt_is_not_counted(values):
    WorkflowEntryFactory(execution=begun(), **values)

    assert step_times("orders") == []


def test_times_are_of_one_workflow_and_of_one_version_if_it_is_named():
    took(1, begun(workflow_version="1"))
    took(2, begun(workflow_version="2"))
    took(3, begun(workflow_id="billing"))

    assert [times.number for times in step_times("orders")] == [2]
    assert [times.p50_ms for times in step_times("orders", "2")] == [2]
    assert step_times("orders", "3") == []


def test_a_sample_is_of_the_newest_executions(monkeypatch):
    monkeypatch.setattr(timing, "NEWEST", 2)
    for number in range(4):
        took(number, begun(ago=number))

    (times,) = step_times("orders")

    assert (times.number, times.p95_ms) == (2, 1)


def test_a_sample_has_at_most_so_many_attempts():
    execution = begun()
    for milliseconds in range(5):
        took(milliseconds, execution)

    (times,) = step_times("orders", most=3)

    assert times.number == 3
