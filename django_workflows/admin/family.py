"""Parents and children of an execution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, IntegerField, Value, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_workflows import reports
from django_workflows.admin.base import EXECUTION, EXECUTIONS
from django_workflows.admin.texts import status_badge
from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import WorkflowExecution

#: Of so many children a page tells; of all others, how many there are.
MOST_CHILDREN = 20
MOST_GRANDCHILDREN = 100
MOST_ANCESTORS = 5

_COLUMNS = ("id", "workflow_id", "status", "current_step", "parent", "parent_step", "item", "error")

#: What is in the way comes first.
_URGENT = [ExecutionStatus.FAILED, ExecutionStatus.HALTED, ExecutionStatus.RUNNING]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relative:
    """A child or parent, and what is known of its children."""

    execution: WorkflowExecution
    url: str
    badge: SafeString
    children: list[Relative] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What stands around an execution."""

    parents: Sequence[Relative] = ()  # the nearest last
    is_parent_hidden: bool = False
    children: Sequence[Relative] = ()
    counts: Sequence[tuple[SafeString, reports.Count]] = ()
    all_url: str = ""
    is_cut: bool = False  # there are more children than are told of


def family(request: HttpRequest, execution: WorkflowExecution) -> Family:
    """Return the relatives that the user may view."""
    visible = WorkflowExecution.objects.visible_to(request.user)
    parents, is_hidden = _parents(visible, execution)
    rank = Case(
        *(When(status=status, then=Value(place)) for place, status in enumerate(_URGENT)),
        default=Value(len(_URGENT)),
        output_field=IntegerField(),
    )
    mine = visible.filter(parent=execution.pk)
    counts = {status: count for status, count in reports.counts(mine, cap=1_000).items() if count}
    if not counts:
        return Family(parents=parents, is_parent_hidden=is_hidden)
    # To sort all of a great many would take longer than to look at the first ones.
    is_great = any(count.is_more for count in counts.values())
    order = ["-created_at", "-id"] if is_great else [rank, "item", "created_at", "id"]
    found = list(mine.only(*_COLUMNS).order_by(*order)[: MOST_CHILDREN + 1])
    children = [_relative(row) for row in found[:MOST_CHILDREN]]
    _add_grandchildren(visible, children)
    query = urlencode({"parent__id__exact": execution.pk})
    return Family(
        parents=parents,
        is_parent_hidden=is_hidden,
        children=children,
        counts=[(status_badge(status), count) for status, count in counts.items()],
        all_url=f"{reverse(f'admin:{EXECUTIONS}')}?{query}",
        is_cut=len(found) > MOST_CHILDREN,
    )


def _parents(visible: Any, execution: WorkflowExecution) -> tuple[list[Relative], bool]:
    found: list[Relative] = []
    above = execution.parent_id
    while above is not None and len(found) < MOST_ANCESTORS:
        row = visible.only(*_COLUMNS).filter(pk=above).first()
        if row is None:
            return found, True
        found.insert(0, _relative(row))
        above = row.parent_id
    return found, False


def _add_grandchildren(visible: Any, children: Sequence[Relative]) -> None:
    by_id = {child.execution.pk: child for child in children}
    rows = (
        visible.filter(parent__in=list(by_id)).only(*_COLUMNS).order_by("parent_id", "-created_at")
    )
    for row in rows[:MOST_GRANDCHILDREN]:
        by_id[row.parent_id].children.append(_relative(row))


def _relative(row: WorkflowExecution) -> Relative:
    return Relative(
        execution=row,
        url=reverse(f"admin:{EXECUTION}", args=[row.pk]),
        badge=status_badge(row.status),
    )


def place_of(row: WorkflowExecution) -> str:
    """Return which child of its parent an execution is, in words."""
    if row.item is None:
        return row.parent_step or ""
    return _("%(step)s, item %(item)s") % {"step": row.parent_step, "item": row.item}
