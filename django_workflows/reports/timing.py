"""How long the steps of a workflow take."""

from __future__ import annotations

from dataclasses import dataclass, field

from django_workflows.core.definition import plain_path
from django_workflows.core.execution import EntryAction
from django_workflows.models import WorkflowEntry, WorkflowExecution

#: So many executions are looked at, the newest first.
NEWEST = 1_000

#: What an attempt at a step ended in.
_ATTEMPTS = (EntryAction.COMPLETED, EntryAction.FAILED, EntryAction.RETRIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTimes:
    """The attempts at a step: how many, how long they worked, and how many of them failed."""

    step: str  # a path without iterations and visits
    number: int
    p50_ms: int
    p95_ms: int
    failed: int


@dataclass(slots=True)
class _Sample:
    times: list[int] = field(default_factory=list)
    failed: int = 0


def step_times(workflow_id: str, version: str | None = None, most: int = 10_000) -> list[StepTimes]:
    """
    Return the times of each step, in the order in which the sample came to them.

    The sample is of at most ``most`` attempts, from the histories of the workflow's NEWEST
    executions that have begun, of all its versions if none is named. What a step waited is not in
    its times. Two queries, of which the first passes over newer executions of other versions.
    """
    executions = WorkflowExecution.objects.filter(
        workflow_id=workflow_id, started_at__isnull=False
    ).order_by("-created_at", "-id")
    if version is not None:
        executions = executions.filter(workflow_version=version)
    entries = WorkflowEntry.objects.filter(
        execution__in=list(executions.values_list("pk", flat=True)[:NEWEST]),
        action__in=_ATTEMPTS,
        duration_ms__isnull=False,  # others are of what people did
    )
    # Sorted here: told to, the database may read the whole history in that order.
    rows = entries.order_by().values_list("id", "step_id", "action", "duration_ms")[:most]
    samples: dict[str, _Sample] = {}
    for _, path, action, duration in sorted(rows):
        sample = samples.setdefault(plain_path(path), _Sample())
        sample.times.append(duration or 0)
        sample.failed += action != EntryAction.COMPLETED
    return [_times(step, sample) for step, sample in samples.items()]


def _times(step: str, sample: _Sample) -> StepTimes:
    times = sorted(sample.times)
    return StepTimes(
        step=step,
        number=len(times),
        p50_ms=_percentile(times, 50),
        p95_ms=_percentile(times, 95),
        failed=sample.failed,
    )


def _percentile(times: list[int], share: int) -> int:
    """Return the smallest of sorted ``times`` that ``share`` of a hundred do not exceed."""
    return times[-(-len(times) * share // 100) - 1]
