"""Start anew from a step of an old execution, with ctx as it was there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django_workflows.core import clock
from django_workflows.core.control import entry_of_verb, new_deadline, refuse_unknown
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
    by: str | None,
) -> tuple[Execution, Entry]:
    """
    Return a new pending execution that begins at ``from_step``, with ctx as it was there.

    ctx is rebuilt from what the entries say the steps before had set. Raise InvalidTransition
    where the execution never came to that step.
    """
    refuse_unknown(definition, execution, from_step)
    ctx = context_at(definition, execution, history, from_step)
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
    entry = entry_of_verb(
        fork, EntryAction.FORKED, by, step=from_step, output={"from": execution.id, "ctx": ctx}
    )
    return fork, entry


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
        if entry.step_id.partition("#")[0].partition("/")[0].partition("[")[0] == name:
            return ctx
        if entry.action not in {EntryAction.COMPLETED, EntryAction.SKIPPED}:
            continue
        step = definition.step_at(entry.step_id)
        output = entry.output
        if entry.action == EntryAction.SKIPPED and isinstance(output, Mapping):
            output = output.get("output")
        if step is not None and step.output_key is not None:
            ctx[step.output_key] = output
        elif step is not None and not step.has_output and entry.action == EntryAction.COMPLETED:
            ctx.update(output or {})  # of such a step the history shows what it set
    if execution.frames.at == name:
        return ctx
    raise InvalidTransition(execution.id, execution.status, f"fork from {name!r}", "past that step")
