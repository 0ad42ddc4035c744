"""What of an execution's completed steps its compensations have undone."""

from __future__ import annotations

from collections.abc import Iterable

from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import Entry, EntryAction, Execution
from django_workflows.core.store import LOST, Store

#: What the error of an execution says of each step whose compensation gave up.
NOT_UNDONE = "could not be undone"


def undone(entries: Iterable[Entry]) -> list[str]:
    """Return the paths of the steps that were compensated, and not begun again since."""
    paths: list[str] = []
    for entry in entries:
        if entry.action == EntryAction.COMPENSATED:
            paths.append(entry.step_id.partition(":")[2])
        elif entry.action == EntryAction.RETRIED and entry.error is None:  # by hand
            paths.clear()
    return paths


def is_undone(store: Store, execution: Execution, definition: WorkflowDefinition | None) -> bool:
    """Say whether ``execution`` has ended and was undone; ``definition`` is its own, if known."""
    if execution.status not in LOST:
        return False
    if definition and not any(step.compensate for _, step, _ in definition.graph.walk()):
        return False  # a history may be long: it is not read for nothing
    return bool(undone(store.entries(execution.id)))
