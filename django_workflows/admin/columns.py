"""What the list of executions tells of each row, read for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from django.db.models import prefetch_related_objects
from django.db.models.query import Prefetch
from django.utils.translation import gettext as _

from django_workflows.core import clock
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.explaining import explained
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.core.workflow import registry
from django_workflows.health import unheard_queues
from django_workflows.models import WorkflowExecution, WorkflowWait

#: What a list does not show, and what may be large.
HEAVY = ("input", "ctx", "frames", "result", "halt_data", "compensations")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How many steps of the workflow lie before an execution, of how many."""

    step: int
    steps: int


def add_whys(rows: Sequence[WorkflowExecution]) -> None:
    """
    Set ``why`` of each row: the sentence of api.explain(), in few queries for all of them.

    It does not say if what was done is undone, which takes a look into each history.
    """
    open_ones = WorkflowWait.objects.filter(status=WaitStatus.OPEN).order_by("opened_at", "id")
    halted = [row for row in rows if row.status == ExecutionStatus.HALTED]
    prefetch_related_objects(halted, Prefetch("waits", queryset=open_ones, to_attr="open_waits"))
    unheard = _unheard(rows)
    for row in rows:
        row.why = _why(row, unheard)  # type: ignore[attr-defined]  # for the list alone


def _unheard(rows: Iterable[WorkflowExecution]) -> Mapping[str | None, str | None]:
    pending = {row.queue for row in rows if row.status == ExecutionStatus.PENDING}
    return unheard_queues(pending)


def _why(row: Any, unheard: Mapping[str | None, str | None]) -> str:
    waits: list[Wait] = [wait.to_core() for wait in getattr(row, "open_waits", ())]
    groups = [wait for wait in waits if wait.kind == WaitKind.CHILD and wait.key is None]
    told = [_of_group(wait) for wait in groups]
    others = [wait for wait in waits if wait not in groups]
    if others or not groups:
        # A row has what the sentence is made of; the large columns are not read for it.
        execution = cast("Execution", row)
        known = row.workflow_id in registry
        queue = unheard.get(row.queue)
        told.append(explained(execution, others, _no_tally, known=known, unheard=queue))
    return _(" and ").join(told)


def _of_group(wait: Wait) -> str:
    # How many are left takes a count of the children: on the page of one, not in a list.
    told = _("waiting for the %(total)s children of %(step)s")
    return told % {"total": f"{wait.data['total']:,}", "step": wait.step}


def _no_tally(step: str) -> Mapping[ExecutionStatus, int]:
    raise AssertionError(f"{step} is a group, which is told of without counting")


def reach(row: WorkflowExecution) -> Reach | None:
    """Return how far a row has come by its workflow's order of steps; None if not known."""
    if row.workflow_id not in registry:
        return None
    definition = registry[row.workflow_id]
    names = list(definition.graph.steps)
    if row.status == ExecutionStatus.COMPLETED:
        return Reach(step=len(names), steps=len(names))
    name = top_step(row.current_step)
    if definition.version != row.workflow_version or name not in names:
        return None
    return Reach(step=names.index(name) + 1, steps=len(names))


def top_step(path: str | None) -> str:
    """Return the workflow's own step that a path leads into: ``each`` for ``each[3]/charge``."""
    return (path or "").partition("/")[0].partition("[")[0].partition("#")[0]


def duration(row: WorkflowExecution) -> timedelta | None:
    """Return how long an execution took, or takes so far; None before its first claim."""
    if row.started_at is None:
        return None
    return (row.finished_at or clock.now()) - row.started_at
