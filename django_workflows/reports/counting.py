"""Counts that stop at a cap, so that none of them reads a whole table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import IntegerField, QuerySet, Subquery
from django.utils.formats import number_format

from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import ExecutionQuerySet, WorkflowVersion


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are; where ``is_more``, at least that many. As text: ``10,000+``."""

    number: int
    is_more: bool = False

    @classmethod
    def capped(cls, found: int, cap: int) -> Count:
        """Return the count of ``found`` rows, of which at most ``cap + 1`` were looked for."""
        return cls(min(found, cap), is_more=found > cap)

    def __str__(self) -> str:
        shown = number_format(self.number, use_l10n=True, force_grouping=True)
        return f"{shown}+" if self.is_more else shown

    def __bool__(self) -> bool:
        return self.number > 0


class Counted(Subquery):
    """The number of rows of a query, as a value in another."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) AS counted)"
    output_field = IntegerField()
    empty_result_set_value = 0  # of a query that Django knows to find nothing

    def __init__(self, rows: QuerySet[Any], cap: int) -> None:
        super().__init__(rows.order_by().values("pk")[: cap + 1])


def count_of(queryset: QuerySet[Any], cap: int = 1_000) -> Count:
    """
    Count the rows of any queryset, at most to ``cap``. One query.

    It stops at the row after ``cap``; what a filter without an index turns down on the way there is
    read nevertheless.
    """
    return Count.capped(queryset.order_by()[: cap + 1].count(), cap)


def counts(executions: ExecutionQuerySet, cap: int = 10_000) -> dict[ExecutionStatus, Count]:
    """
    Count executions by status, each at most to ``cap``, in the order of their life.

    One query, that reads at most ``cap`` entries of an index for each status.
    """
    found = count_each(
        {status: executions.filter(status=status) for status in ExecutionStatus}, cap
    )
    return {status: found[status] for status in ExecutionStatus}


def per_workflow(
    executions: ExecutionQuerySet, cap: int = 10_000
) -> dict[str, dict[ExecutionStatus, Count]]:
    """
    Count executions by workflow and status, each at most to ``cap``, sorted by workflow.

    Of all workflows that have executions. A query for their names, and one for each twenty of them,
    that reads at most ``cap`` entries of an index for each workflow and status.
    """
    versions = WorkflowVersion.objects.using(executions.db)
    names = versions.order_by("workflow_id").values_list("workflow_id", flat=True).distinct()
    wanted = {
        (name, status): executions.filter(workflow_id=name, status=status)
        for name in names
        for status in ExecutionStatus
    }
    found = count_each(wanted, cap)
    tables: dict[str, dict[ExecutionStatus, Count]] = {}
    for (name, status), count in found.items():
        tables.setdefault(name, {})[status] = count
    return {name: table for name, table in tables.items() if any(table.values())}


def count_each(queries: Mapping[Any, QuerySet[Any]], cap: int) -> dict[Any, Count]:
    """Count the rows of several querysets over one table, each at most to ``cap``, at once."""
    asked = list(queries.items())
    found: list[int] = []
    for begin in range(0, len(asked), MOST_AT_ONCE):
        found += _numbers([rows for _, rows in asked[begin : begin + MOST_AT_ONCE]], cap)
    return {key: Count.capped(number, cap) for (key, _), number in zip(asked, found, strict=True)}


#: Subqueries in one statement: planning more takes longer than a round trip.
MOST_AT_ONCE = 120


def _numbers(queries: list[QuerySet[Any]], cap: int) -> Iterable[int]:
    first = queries[0]
    named = {f"counted_{place}": Counted(rows, cap) for place, rows in enumerate(queries)}
    # Any row will do to carry the numbers; where there is none, there is nothing to count. It is
    # the first of the model's order, by an index: a purged table begins with a stretch of nothing.
    carrier = first.model._default_manager.using(first.db)  # noqa: SLF001  Django's
    row = carrier.annotate(**named).values_list(*named)[:1]
    return next(iter(row), (0,) * len(queries))
