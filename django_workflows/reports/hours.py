"""What began, ended and failed in each of the last hours."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import (
    CharField,
    Count,
    DateTimeField,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Value,
)
from django.utils import timezone

from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import ExecutionQuerySet

HOUR = timedelta(hours=1)

#: Stands where the status of what ended does.
_BEGAN = "began"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What happened from ``at``, in the current time zone, to an hour later."""

    at: datetime
    started: int = 0
    finished: int = 0  # completed, failed or cancelled
    failed: int = 0


class HoursSince(Func):
    """
    How many whole hours lie between an origin and a moment after it.

    Not Trunc(): truncated in a local time zone, two hours of an autumn night are one.
    """

    arity = 2
    output_field = IntegerField()
    # Of double precision: EXTRACT() gives a decimal, and takes several times as long.
    template = "FLOOR(DATE_PART('epoch', %(expressions)s) / 3600)::integer"
    arg_joiner = " - "

    def as_sqlite(self, compiler: Any, connection: Any, **options: Any) -> Any:
        template = "(%(expressions)s) / 3600"
        seconds = self.copy()
        seconds.set_source_expressions([_seconds(each) for each in self.get_source_expressions()])
        return seconds.as_sql(compiler, connection, template=template, **options)

    def as_mysql(self, compiler: Any, connection: Any, **options: Any) -> Any:
        moment, origin = self.get_source_expressions()
        swapped = self.copy()
        swapped.set_source_expressions([origin, moment])
        template = "TIMESTAMPDIFF(HOUR, %(expressions)s)"
        return swapped.as_sql(compiler, connection, template=template, arg_joiner=", ", **options)


def _seconds(moment: Any) -> Func:
    """Return what a moment is in seconds on SQLite, which would round them: it is cut as text."""
    cut = Func(moment, Value(1), Value(len("2026-05-04 12:30:00")), function="SUBSTR")
    return Func(Value("%s"), cut, function="STRFTIME")


def per_hour(
    executions: ExecutionQuerySet, hours: int = 24, now: datetime | None = None
) -> list[Hour]:
    """
    Return the last ``hours`` hours, the oldest first and the one that is under way last.

    Hours begin where they do on a clock in the current time zone, and each is an hour long: where
    summer time begins or ends, the clock's are 23 or 25 a day. Children are not counted, nor what
    has begun anew since it ended. One query, that reads an index entry for each execution that was
    started, and one for each that ended, in that time.
    """
    clock_now = timezone.localtime(clock.now() if now is None else now)
    last = clock_now.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    first, end = last - (hours - 1) * HOUR, last + HOUR
    whole = executions.filter(parent=None).order_by()
    began = _tallied(whole, "created_at", first, end, Value(_BEGAN, CharField()))
    ended = _tallied(whole, "finished_at", first, end, ExpressionWrapper(F("status"), CharField()))
    started, finished, failed = Counter[int](), Counter[int](), Counter[int]()
    for told, place, number in began.union(ended, all=True).order_by():
        (started if told == _BEGAN else finished)[place] += number
        if told == ExecutionStatus.FAILED:
            failed[place] += number
    return [
        Hour(
            at=timezone.localtime(first + place * HOUR),
            started=started[place],
            finished=finished[place],
            failed=failed[place],
        )
        for place in range(hours)
    ]


def _tallied(
    rows: ExecutionQuerySet, column: str, first: datetime, end: datetime, told: Any
) -> Any:
    """Return what is told of the rows whose moment lies between, their hour, and their number."""
    inside = rows.filter(**{f"{column}__gte": first, f"{column}__lt": end})
    place = HoursSince(F(column), Value(first, DateTimeField()))
    placed = inside.annotate(told=told, place=place).values_list("told", "place")
    return placed.annotate(number=Count("*"))
