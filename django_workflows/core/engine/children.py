"""How a step starts and finds its child."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django_workflows.core import clock
from django_workflows.core.engine.driving import Drive
from django_workflows.core.engine.former import Former, as_text, begun_with
from django_workflows.core.execution import (
    FINAL_STATUSES,
    Execution,
    ExecutionResult,
    ExecutionStatus,
    State,
)
from django_workflows.core.ids import derived_id
from django_workflows.core.store import Store
from django_workflows.exceptions import StepError

if TYPE_CHECKING:
    from django_workflows.core.engine import Engine

#: How many parents a process remembers the generation of.
MOST_KNOWN = 10_000

# It never changes, and of ten thousand siblings not each should read the parent for it.
_generations: dict[str, int] = {}


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
    drive.before_children()
    parent = drive.execution
    refuse_depth(engine, parent)
    own = engine.sibling(workflow_id)
    child_id = derived_id(parent.id, state.path, str(state.attempt), str(drive.cursor.retries))
    fields = inherited(parent, state.path)
    if timeout is not None:
        bound = timedelta(seconds=timeout)
        # It may be shorter than the child's own, never longer.
        fields["deadline_at"] = clock.now() + min(bound, own.definition.timeout or bound)
    former = Former(engine, drive, state)
    new = own.new(given, child_id, **fields)
    if drive.cursor.retries or state.attempt > 1:
        new = _or_former(former, own, new, timeout)
    (child,) = former.write([new])
    if child.status in FINAL_STATUSES:
        return child.to_result()
    if child.status == ExecutionStatus.HALTED:
        return child.id
    result = own.drive(child.id)
    if result is None or result.status not in FINAL_STATUSES:
        return child.id
    return result


def inherited(parent: Execution, step: str) -> dict[str, Any]:
    """Return the fields that a child has from its parent, which starts it at ``step``."""
    return {
        "parent": parent.id,
        "parent_step": step,
        "queue": parent.queue,
        "priority": parent.priority,
        "started_by": parent.started_by,
    }


def _or_former(former: Former, own: Engine, new: Execution, timeout: float | None) -> Execution:
    """Return ``new``, under the id of the child from before that is as good, where there is one."""
    found = former.all()
    if any(child.id == new.id for child in found):
        return new  # of this attempt, from before a crash or a halt
    wanted = as_text(new.input)
    same = [
        child
        for child in found
        if child.workflow_id == new.workflow_id
        and as_text(begun_with(former.store, child)) == wanted
    ]
    taken = former.taken(own, same[-1], timeout) if same else None
    for child in found:
        if child.id != taken:
            former.end(child)
    return new if taken is None else replace(new, id=taken)


def refuse_depth(engine: Engine, execution: Execution) -> None:
    """Raise StepError where a child of ``execution`` would be nested too deeply."""
    if _generation(engine.store, execution) >= engine.limits.depth:
        raise StepError(
            f"Children are nested deeper than {engine.limits.depth}: does a workflow start itself?"
        )


def _generation(store: Store, execution: Execution) -> int:
    """Return how many ancestors an execution has."""
    if execution.parent is None:
        return 0
    if execution.parent not in _generations:
        known = _generation(store, store.load(execution.parent))
        if len(_generations) >= MOST_KNOWN:
            _generations.clear()
        _generations[execution.parent] = known
    return _generations[execution.parent] + 1
