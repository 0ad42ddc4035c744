"""The steps that executions can begin again from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django_workflows.admin.columns import top_step
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.models import WorkflowEntry


def reached(
    definition: WorkflowDefinition, ids: Sequence[Any], standing_at: Iterable[str | None]
) -> list[str]:
    """
    Return the workflow's own steps that some of its executions came to, in their order.

    ``standing_at`` is where they stand by now. What each may begin at, the engine decides.
    """
    steps = definition.graph.steps
    here = {top_step(path) or definition.graph.first for path in standing_at}
    if not here <= {*steps}:
        return list(steps)  # another step may have taken the place of one that is gone
    # What went on inside a step is told by that step itself, and may be thousands of lines.
    entries = WorkflowEntry.objects.filter(execution__in=ids).exclude(step_id__contains="/")
    paths = entries.order_by().values_list("step_id", flat=True).distinct()
    been = here | {top_step(path) for path in paths}
    return [name for name in steps if name in been]
