"""Take a step as done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django_workflows.core.chores import Chore
from django_workflows.core.control.common import (
    begun_again,
    entry_of_verb,
    refuse_unknown,
    withdrawn,
)
from django_workflows.core.decisions import Change, Decide, Permit, open_waits
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import EntryAction, Execution, ExecutionStatus
from django_workflows.core.frames import Cursor
from django_workflows.core.steps.base import Step
from django_workflows.core.waits import Wait
from django_workflows.exceptions import InvalidTransition


def skip(
    definition: WorkflowDefinition,
    *,
    output: Any,
    reason: str,
    by: str | None,
    undone: Sequence[str],
    chores: Sequence[Chore],
    permit: Permit,
) -> Decide:
    """
    Return the decision that takes the current step as done with ``output``, and goes on.

    Where it waits for an approval, to skip it is to decide it: ``permit`` is asked.
    """

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        step = _skippable(definition, execution, undone)
        for wait in open_waits(waits):
            permit(execution, wait)
        ctx, cursor = _after(step, definition, execution, output)
        skipped = begun_again(execution, definition, cursor, ctx, recover_to=None, halt_data=None)
        told = {"output": output, "reason": reason}
        entry = entry_of_verb(execution, EntryAction.SKIPPED, by, step=step.name, output=told)
        return Change(execution=skipped, entries=[entry], waits=withdrawn(waits), chores=chores)

    return decide


def _skippable(definition: WorkflowDefinition, execution: Execution, undone: Sequence[str]) -> Step:
    """Return the step that the execution stands at. Raise InvalidTransition."""
    if execution.status not in {ExecutionStatus.FAILED, ExecutionStatus.HALTED}:
        raise InvalidTransition(execution.id, execution.status, "skip", "failed or halted")
    is_undoing = execution.status == ExecutionStatus.HALTED and execution.error is not None
    if undone or is_undoing:
        raise InvalidTransition(
            execution.id, "undone by its compensations", "skip", "not; retry it from_step="
        )
    name = execution.frames.at
    if name is None:
        raise InvalidTransition(execution.id, "not begun", "skip", "at a step")
    refuse_unknown(definition, execution, name)
    step = definition.graph.steps[name]
    if step.chooses:
        stands = f"{execution.status} at {name!r}, which chooses the way"
        raise InvalidTransition(execution.id, stands, "skip", "elsewhere")
    return step


def _after(
    step: Step, definition: WorkflowDefinition, execution: Execution, output: Any
) -> tuple[dict[str, Any], Cursor]:
    """Return ctx and place after ``step``, with ``output`` as if it had returned that."""
    left = step.abandoned(execution.to_state(), execution.frames.frame)
    ctx = {key: value for key, value in left.ctx.items() if key != "_last_error"}
    cursor = execution.frames
    if step.output_key is not None:
        ctx[step.output_key] = output
        cursor = replace(cursor, last=step.output_key, output=None)
    return ctx, definition.graph.advance(cursor, definition.graph.follow[step.name])
