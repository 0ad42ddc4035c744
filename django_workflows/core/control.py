"""The verbs by which people step in: cancel, retry, skip, fork; applied under the lock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django_workflows.core import clock
from django_workflows.core.decisions import Change, Decide
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import (
    FINAL_STATUSES,
    Entry,
    EntryAction,
    Execution,
    ExecutionStatus,
)
from django_workflows.core.frames import (
    BranchStatus,
    Cursor,
    Frame,
    LoopFrame,
    ParallelFrame,
)
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import InvalidTransition, PayloadError


def postpone(delay: float | timedelta) -> Decide:
    """Return the decision that lets a new execution begin only after ``delay``."""
    pause = delay if isinstance(delay, timedelta) else timedelta(seconds=delay)

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        until = clock.now() + pause
        data = {"until": until}
        step = execution.current_step or ""
        wait = Wait(
            execution_id=execution.id, step=step, kind=WaitKind.TIMER, data=data, wake_at=until
        )
        halted = replace(execution, status=ExecutionStatus.HALTED, recover_to=step, halt_data=data)
        return Change(execution=halted, waits=[wait])

    return decide


def cancel(reason: str, by: str | None) -> Decide:
    """Return the decision that ends an execution; a driver's next checkpoint is refused."""

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        if execution.status in FINAL_STATUSES:
            raise InvalidTransition(execution.id, execution.status, "cancel", "still under way")
        cancelled = _ended(
            execution,
            status=ExecutionStatus.CANCELLED,
            error=f"Cancelled: {reason or 'no reason given'}",
        )
        entry = entry_of_verb(execution, EntryAction.CANCELLED, by, output={"reason": reason})
        return Change(execution=cancelled, entries=[entry], waits=_withdrawn(waits))

    return decide


def retry(
    definition: WorkflowDefinition,
    *,
    from_step: str | None,
    input: Mapping[str, Any] | None,
    by: str | None,
    undone: Sequence[str],
) -> Decide:
    """
    Return the decision that makes a failed execution pending again.

    It goes on at the step that failed, or at ``from_step`` of the workflow's own steps. ``undone``
    are the paths of the steps that were compensated, so that going on where it failed would build
    on what is no more: then ``from_step`` must be named. To run such a step again is a new visit.
    """

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        if execution.status not in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
            raise InvalidTransition(execution.id, execution.status, "retry", "failed or cancelled")
        if undone and from_step is None:
            raise InvalidTransition(
                execution.id, "undone by its compensations", "retry", "told from_step="
            )
        refuse_unknown(definition, execution, from_step)
        cursor = reopened(execution.frames)
        if from_step is not None:
            cursor = Cursor(at=from_step, visits={**cursor.visits, **_visits_after(undone)})
        cursor = replace(cursor, retries=execution.frames.retries + 1)
        again = replace(
            execution,
            status=ExecutionStatus.PENDING,
            frames=cursor,
            current_step=cursor.at,
            attempt=1,
            claims=0,
            error=None,
            result=None,
            finished_at=None,
            input=execution.input if input is None else input,
            deadline_at=new_deadline(definition),
            updated_at=clock.now(),
        )
        entry = entry_of_verb(
            execution, EntryAction.RETRIED, by, step=cursor.at, output={"from_step": cursor.at}
        )
        return Change(execution=again, entries=[entry], waits=_withdrawn(waits))

    return decide


def _visits_after(undone: Sequence[str]) -> dict[str, int]:
    """
    Return the number of the next visit to each of the workflow's own steps that was undone.

    What was refunded under one idempotency key cannot be charged again under the same.
    """
    visits: dict[str, int] = {}
    for path in undone:
        name, _, visit = path.partition("/")[0].partition("[")[0].partition("#")
        visits[name] = max(visits.get(name, 0), int(visit or 1) + 1)
    return visits


def skip(
    definition: WorkflowDefinition,
    *,
    output: Any,
    reason: str,
    by: str | None,
    undone: Sequence[str] = (),
) -> Decide:
    """Return the decision that takes the current step as done with ``output``, and goes on."""

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
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
            raise InvalidTransition(
                execution.id,
                f"{execution.status} at {name!r}, which chooses the way",
                "skip",
                "elsewhere",
            )
        left = step.abandoned(execution.to_state(), execution.frames.frame)
        ctx = {key: value for key, value in left.ctx.items() if key != "_last_error"}
        cursor = execution.frames
        if step.output_key is not None:
            ctx[step.output_key] = output
            cursor = replace(cursor, last=step.output_key, output=None)
        cursor = definition.graph.advance(cursor, definition.graph.follow[step.name])
        skipped = replace(
            execution,
            status=ExecutionStatus.PENDING,
            ctx=ctx,
            frames=cursor,
            current_step=cursor.at,
            attempt=1,
            claims=0,
            error=None,
            recover_to=None,
            halt_data=None,
            finished_at=None,
            deadline_at=new_deadline(definition),
            updated_at=clock.now(),
        )
        entry = entry_of_verb(
            execution,
            EntryAction.SKIPPED,
            by,
            step=name,
            output={"output": output, "reason": reason},
        )
        return Change(execution=skipped, entries=[entry], waits=_withdrawn(waits))

    return decide


def reopened(cursor: Cursor) -> Cursor:
    """Return ``cursor`` with a first attempt ahead, and its failed branches to be run again."""
    return replace(cursor, attempt=1, frame=_reopened_frame(cursor.frame))


def _reopened_frame(frame: Frame | None) -> Frame | None:
    if isinstance(frame, LoopFrame):
        return replace(frame, body=reopened(frame.body))
    if isinstance(frame, ParallelFrame):
        branches = {
            name: replace(
                branch,
                status=BranchStatus.RUNNING
                if branch.status != BranchStatus.DONE
                else branch.status,
                error=None,
                body=branch.body if branch.status == BranchStatus.DONE else reopened(branch.body),
            )
            for name, branch in frame.branches.items()
        }
        return ParallelFrame(branches=branches)
    return None  # a wait that was open is withdrawn, so the step asks anew


def _ended(execution: Execution, **changes: Any) -> Execution:
    now = clock.now()
    return replace(
        execution,
        finished_at=now,
        updated_at=now,
        lease_owner=None,
        lease_expires_at=None,
        recover_to=None,
        halt_data=None,
        fence=execution.fence + 1,
        **changes,
    )


def _withdrawn(waits: Sequence[Wait]) -> list[Wait]:
    pending = {WaitStatus.OPEN, WaitStatus.SETTLED}
    return [replace(wait, status=WaitStatus.WITHDRAWN) for wait in waits if wait.status in pending]


def new_deadline(definition: WorkflowDefinition) -> datetime | None:
    """Return the deadline of an execution that begins, or begins again, now."""
    return None if definition.timeout is None else clock.now() + definition.timeout


def refuse_unknown(definition: WorkflowDefinition, execution: Execution, name: str | None) -> None:
    """Raise where the workflow has no step of its own called ``name``; None is none."""
    if name is not None and name not in definition.graph.steps:
        known = ", ".join(definition.graph.steps)
        raise PayloadError("from_step", f"{definition.id!r} has no step {name!r}; it has {known}")


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
