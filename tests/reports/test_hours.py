from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from django_workflows.core import clock
from django_workflows.models import WorkflowExecution
from django_workflows.reports import Hour, per_hour
from tests.factories import WorkflowExecutionFactory

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_utc():
    with timezone.override(UTC):
        yield


def at(hour, minute=0, second=0, microsecond=0):
    return NOW.replace(hour=hour, minute=minute, second=second, microsecond=microsecond)


def all_hours(hours=3, now=NOW):
    return per_hour(WorkflowExecution.objects.all(), hours, now)


def test_hours_come_oldest_first_and_the_one_under_way_last(django_assert_num_queries):
    with django_assert_num_queries(1):
        found = all_hours()

    assert found == [Hour(at=at(10)), Hour(at=at(11)), Hour(at=at(12))]


@pytest.mark.parametrize(
    ("moment", "place"),
    [
        (at(9, 59, 59, 999_999), None),  # before the first
        (at(10), 0),
        (at(10, 59, 59, 999_999), 0),
        (at(11), 1),
        (at(11, 30), 1),
        (at(12, 29), 2),
        (at(13), None),  # after the last: somebody's clock is ahead
    ],
)
@pytest.mark.parametrize("column", ["created_at", "finished_at"])
def test_a_moment_belongs_to_the_hour_that_it_lies_in(column, moment, place):
    ancient = NOW - timedelta(days=99)
    WorkflowExecutionFactory(
        **{"status": "failed", "created_at": ancient, "finished_at": ancient, column: moment}
    )

    found = all_hours()

    named = {"created_at": ["started"], "finished_at": ["finished", "failed"]}[column]
    for name in ("started", "finished", "failed"):
        expected = [int(name in named and number == place) for number in range(3)]
        assert [getattr(hour, name) for hour in found] == expected


def test_what_failed_has_finished_too():
    for status in ("completed", "failed", "failed", "cancelled"):
        WorkflowExecutionFactory(status=status, created_at=at(11), finished_at=at(12))

    assert all_hours(2) == [
        Hour(at=at(11), started=4),
        Hour(at=at(12), finished=4, failed=2),
    ]


def test_children_are_not_counted():
    parent = WorkflowExecutionFactory(created_at=at(12))
    WorkflowExecutionFactory(
        parent=parent, status="failed", created_at=at(12), finished_at=at(12, 1)
    )

    assert all_hours(1) == [Hour(at=at(12), started=1)]


def test_only_the_executions_that_were_given_are_counted():
    WorkflowExecutionFactory(created_at=at(12))
    WorkflowExecutionFactory(created_at=at(12), workflow_id="billing")

    (hour,) = per_hour(WorkflowExecution.objects.filter(workflow_id="billing"), 1, NOW)

    assert hour.started == 1
    assert per_hour(WorkflowExecution.objects.none(), 1, NOW) == [Hour(at=at(12))]


def test_without_a_moment_the_clock_is_asked(travel):
    travel(3 * 3600)
    WorkflowExecutionFactory(created_at=clock.now())

    found = per_hour(WorkflowExecution.objects.all())

    assert len(found) == 24
    assert [hour.started for hour in found] == [0] * 23 + [1]


@pytest.mark.parametrize(
    ("zone", "utc", "shown"),
    [
        # Half an hour off: hours begin where the clock on the wall says so.
        ("Asia/Kolkata", (2026, 5, 4, 12, 40), ["16:00+0530", "17:00+0530", "18:00+0530"]),
        # In spring the hour from two to three is missing...
        ("Europe/Berlin", (2026, 3, 29, 1, 30), ["00:00+0100", "01:00+0100", "03:00+0200"]),
        # ...and in autumn it is there twice.
        ("Europe/Berlin", (2026, 10, 25, 1, 30), ["01:00+0200", "02:00+0200", "02:00+0100"]),
    ],
)
def test_hours_are_those_of_a_clock_in_the_current_time_zone(zone, utc, shown):
    now = datetime(*utc, tzinfo=UTC)
    with timezone.override(zone):
        found = all_hours(now=now)

    assert [hour.at.strftime("%H:%M%z") for hour in found] == shown
    assert all(hour.at.tzinfo == ZoneInfo(zone) for hour in found)
    moments = [hour.at.astimezone(UTC) for hour in found]
    assert {later - moment for moment, later in pairwise(moments)} == {timedelta(hours=1)}


def test_the_two_hours_of_an_autumn_night_are_told_apart():
    for hour, number in ((0, 1), (1, 2)):  # two o'clock in Berlin, each
        WorkflowExecutionFactory.create_batch(
            number, created_at=datetime(2026, 10, 25, hour, 10, tzinfo=UTC)
        )

    with timezone.override("Europe/Berlin"):
        found = all_hours(2, datetime(2026, 10, 25, 1, 30, tzinfo=UTC))

    assert [(hour.at.hour, hour.started) for hour in found] == [(2, 1), (2, 2)]
