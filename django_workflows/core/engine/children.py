"""How a step starts and finds its child."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django_workflows.core import clock
from django_workflows.core.engine.driving import Drive
from django_workflows.core.execution import (
    FINAL_STATUSES,
    Execution,
    ExecutionResult,
    ExecutionStatus,
    State,
)
from django_workflows.core.ids import derived_id
from django_workflows.exceptions import StepError

if TYPE_CHECKING:
    from django_workflows.core.engine import Engine


def drive_child(
    engine: Engine,
    drive: Drive,
    state: State,
    *,
    workflow_id: str,
    given: Mapping[str, Any],
    timeout: float | None,
) -> ExecutionResult | str:
    """Start or find the child of a step and drive it here; see steps.base.Run.child()."""
    parent = drive.execution
    _refuse_depth(engine, parent)
    own = engine.sibling(workflow_id)
    child_id = derived_id(parent.id, state.path, str(state.attempt), str(drive.cursor.retries))
    fields: dict[str, Any] = {
        "parent": parent.id,
        "queue": parent.queue,
        "started_by": parent.started_by,
    }
    if timeout is not None:
        bound = timedelta(seconds=timeout)
        # It may be shorter than the child's own, never longer.
        fields["deadline_at"] = clock.now() + min(bound, own.definition.timeout or bound)
    child = own.create(given, child_id, **fields)
    if child.status in FINAL_STATUSES:
        return child.to_result()
    if child.status == ExecutionStatus.HALTED:
        return child.id
    result = own.drive(child.id)
    if result is None or result.status not in FINAL_STATUSES:
        return child.id
    return result


def _refuse_depth(engine: Engine, execution: Execution) -> None:
    ancestor: Execution | None = execution
    for _ in range(engine.limits.depth):
        if ancestor is None or ancestor.parent is None:
            return
        ancestor = engine.store.load(ancestor.parent)
    raise StepError(
        f"Children are nested deeper than {engine.limits.depth}: does a workflow start itself?"
    )
