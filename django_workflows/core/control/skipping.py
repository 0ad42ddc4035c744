"""Take a step as done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django_workflows.core import schemas
from django_workflows.core.chores import Chore
from django_workflows.core.control.common import (
    begun_again,
    entry_of_verb,
    refuse_unknown,
    withdrawn,
)
from django_workflows.core.control.reaching import own_step
from django_workflows.core.decisions import Change, Decide, Permit, open_waits
from django_workflows.core.definition import WorkflowDefinition, plain_path
from django_workflows.core.execution import EntryAction, Execution, ExecutionStatus
from django_workflows.core.frames import Cursor
from django_workflows.core.steps.base import Step
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import InvalidTransition, ResponseError


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

    Where it waits for an approval, or failed as it was not approved, to skip it is to decide it:
    ``permit`` is asked. It raises ResponseError where ``output`` stands in for an answer that the
    step does not take.
    """

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        step = _skippable(definition, execution, undone)
        for wait in open_waits(waits):
            permit(execution, wait)
        for wait in _unapproved(step, waits):
            permit(execution, wait)
        for wait in _unanswered(step, waits):
            _refuse_misfit(execution, wait, output)
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


def _unapproved(step: Step, waits: Sequence[Wait]) -> list[Wait]:
    """Return the latest approvals in ``step`` that ended without enough who are in favour."""
    latest = {wait.step: wait for wait in waits if wait.kind == WaitKind.APPROVAL}
    return [
        wait
        for path, wait in latest.items()
        if own_step(path) == step.name
        and wait.status != WaitStatus.OPEN
        and sum(1 for answer in wait.answers if answer.approved) < wait.required
    ]


def _unanswered(step: Step, waits: Sequence[Wait]) -> list[Wait]:
    """Return the latest question of ``step`` itself, where it got no response to go on with."""
    kinds = {WaitKind.HALT, WaitKind.APPROVAL}
    own = [wait for wait in waits if plain_path(wait.step) == step.name and wait.kind in kinds]
    unanswered = {WaitStatus.OPEN, WaitStatus.WITHDRAWN}  # the latter as its deadline passed
    # Once approved, no approval is the current step any more.
    return [
        wait for wait in own[-1:] if wait.kind == WaitKind.APPROVAL or wait.status in unanswered
    ]


def _refuse_misfit(execution: Execution, wait: Wait, output: Any) -> None:
    """
    Raise ResponseError where ``output`` breaks the schema that ``wait`` has for its answer.

    Of a halt the output is the response. Of an approval it is a mapping that has it under
    ``response``. Any other output says nothing that the steps to come could take for a response,
    and a rejection may say anything.
    """
    schema = schemas.response_schema(wait.data)
    if schema is None:
        return
    if wait.kind == WaitKind.APPROVAL:
        if not isinstance(output, Mapping) or not output.keys() & {"approved", "response"}:
            return
        if output.get("approved") is False:
            return
        output = output.get("response")
    if errors := schemas.breaches(schema, output):
        raise ResponseError(execution.id, wait.step, errors)


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
