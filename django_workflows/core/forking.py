"""Start anew from a step of an old execution, with ctx as it was there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django_workflows.core import clock
from django_workflows.core.control import (
    entry_of_verb,
    new_deadline,
    own_step,
    refuse_unknown,
    refuse_unreached,
    trail_of,
)
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import Entry, EntryAction, Execution
from django_workflows.core.frames import Cursor
from django_workflows.core.ids import new_id
from django_workflows.exceptions import InvalidTransition


def forked(
    definition: WorkflowDefinition,
    execution: Execution,
    history: Sequence[Entry],
    from_step: str,
    *,
    by: str | None,
    reason: str = "",
) -> tuple[Execution, Entry]:
    """
    Return a new pending execution that begins at ``from_step``, with ctx as it was there.

    ctx is rebuilt from what the entries say the steps before had set. Raise InvalidTransition
    where the execution never came to that step, or where it lies behind an approval that was
    decided for another input, or not in favour.
    """
    if definition.part_of is not None:
        raise InvalidTransition(
            execution.id, f"a part of {definition.part_of.id!r}", "fork", "whole: take its parent"
        )
    refuse_unknown(definition, execution, from_step)
    ctx = context_at(definition, execution, history, from_step)
    trail = trail_of(definition, execution, history)
    refuse_unreached(execution, trail, from_step, "fork")
    now = clock.now()
    fork = Execution(
        id=new_id(),
        workflow_id=definition.id,
        workflow_version=definition.version,
        input=execution.input,
        ctx=ctx,
        frames=Cursor(at=from_step),
        current_step=from_step,
        created_at=now,
        updated_at=now,
        deadline_at=new_deadline(definition),
        subject=execution.subject,
        started_by=by or execution.started_by,
        queue=execution.queue,
        priority=execution.priority,
    )
    told = {
        "from": execution.id,
        "ctx": ctx,
        "reason": reason,
        # Whose request it is still: none of them may approve it.
        "requesters": sorted(requesters(execution, history)),
        # What lies behind it: another input is to be approved there first.
        "approvals": trail.decided_before(from_step),
    }
    entry = entry_of_verb(fork, EntryAction.FORKED, by, step=from_step, output=told)
    return fork, entry


def requesters(execution: Execution, history: Iterable[Entry]) -> set[str]:
    """Return who asks for what an execution does: who started it, or gave it another input."""
    asked = {execution.started_by}
    for entry in history:
        told = entry.output if isinstance(entry.output, Mapping) else {}
        if entry.action == EntryAction.FORKED:
            asked.update(told.get("requesters", ()))
        elif entry.action == EntryAction.RETRIED and "input_before" in told:
            asked.add(entry.by)
    return {name for name in asked if name}


def context_at(
    definition: WorkflowDefinition,
    execution: Execution,
    history: Sequence[Entry],
    name: str,
) -> dict[str, Any]:
    """Return ctx as it was when the step ``name`` was first entered; see forked()."""
    ctx: dict[str, Any] = {}
    for entry in history:
        if entry.action == EntryAction.FORKED and isinstance(entry.output, Mapping):
            ctx.update(entry.output.get("ctx", {}))  # it began with what others had set
        if own_step(entry.step_id) == name:
            return ctx
        if entry.action not in {EntryAction.COMPLETED, EntryAction.SKIPPED}:
            continue
        if _is_apart(definition, entry.step_id):
            continue  # what counts of it is in the entry of the step that it is nested in
        step = definition.step_at(entry.step_id)
        output = entry.output
        if entry.action == EntryAction.SKIPPED and isinstance(output, Mapping):
            output = output.get("output")
        ctx.update(entry.sets or {})
        if step is not None and step.output_key is not None:
            ctx[step.output_key] = output
        elif step is not None and not step.has_output and entry.action == EntryAction.COMPLETED:
            ctx.update(output or {})  # of such a step the history shows what it set
    if execution.frames.at == name:
        return ctx
    raise InvalidTransition(execution.id, execution.status, f"fork from {name!r}", "past that step")


def _is_apart(definition: WorkflowDefinition, path: str) -> bool:
    """Say whether the step at ``path`` is nested in one that merges what its branches set."""
    parts = path.split("/")
    outer = (definition.step_at("/".join(parts[:length])) for length in range(1, len(parts)))
    return any(step is not None and step.merges for step in outer)
