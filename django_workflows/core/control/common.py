"""What the verbs share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from django_workflows.core import clock
from django_workflows.core.decisions import Change, Decide
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.frames import Cursor
from django_workflows.core.waits import Wait, WaitStatus
from django_workflows.exceptions import InvalidTransition, PayloadError


def ended(execution: Execution, **changes: Any) -> Execution:
    """Return ``execution`` without a driver, and refused to the one that it has."""
    now = clock.now()
    values = {
        "finished_at": now,
        "updated_at": now,
        "lease_owner": None,
        "lease_expires_at": None,
        "recover_to": None,
        "halt_data": None,
        "fence": execution.fence + 1,
    }
    return replace(execution, **{**values, **changes})


def withdrawn(waits: Sequence[Wait]) -> list[Wait]:
    """Return those that are not over yet, withdrawn."""
    pending = {WaitStatus.OPEN, WaitStatus.SETTLED}
    return [replace(wait, status=WaitStatus.WITHDRAWN) for wait in waits if wait.status in pending]


def begun_again(
    execution: Execution,
    definition: WorkflowDefinition,
    cursor: Cursor,
    ctx: Mapping[str, Any],
    **changes: Any,
) -> Execution:
    """Return a failed or halted execution pending at ``cursor``, as if nothing had gone wrong."""
    values = {
        "status": ExecutionStatus.PENDING,
        "ctx": ctx,
        "frames": cursor,
        "current_step": cursor.at,
        "attempt": 1,
        "claims": 0,
        "error": None,
        "finished_at": None,
        "deadline_at": new_deadline(definition),
        "updated_at": clock.now(),
    }
    return replace(execution, **{**values, **changes})


def new_deadline(definition: WorkflowDefinition) -> datetime | None:
    """Return the deadline of an execution that begins, or begins again, now."""
    return None if definition.timeout is None else clock.now() + definition.timeout


def refuse_unknown(definition: WorkflowDefinition, execution: Execution, name: str | None) -> None:
    """Raise where the workflow has no step of its own called ``name``; None is none."""
    if name is not None and name not in definition.graph.steps:
        known = ", ".join(definition.graph.steps)
        raise PayloadError("from_step", f"{definition.id!r} has no step {name!r}; it has {known}")


def as_shown(expected: str | None, verb: str, decide: Decide) -> Decide:
    """Return ``decide`` for an execution of the revision ``expected`` alone; see refuse_moved()."""

    def unmoved(execution: Execution, waits: Sequence[Wait]) -> Change:
        refuse_moved(execution, expected, verb)
        return decide(execution, waits)

    return unmoved


def refuse_moved(execution: Execution, expected: str | None, verb: str) -> None:
    """Raise InvalidTransition where the revision is not ``expected``; None is any."""
    if expected is not None and execution.revision != expected:
        now = f"{execution.status} at {execution.current_step!r}"
        raise InvalidTransition(
            execution.id, f"{now}, and has moved on since it was shown", verb, "as it was"
        )


def entry_of_verb(
    execution: Execution,
    action: EntryAction,
    by: str | None,
    *,
    step: str | None = None,
    output: Any,
) -> Entry:
    """Return the entry that a verb leaves: what was done, by whom, and where."""
    return Entry(
        execution_id=execution.id,
        step_id=step or execution.current_step or "",
        action=action,
        output=output,
        by=by,
    )
