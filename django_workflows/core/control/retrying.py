"""Drive a failed or cancelled execution again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from django_workflows.core.control.common import (
    begun_again,
    entry_of_verb,
    refuse_unknown,
    withdrawn,
)
from django_workflows.core.control.reaching import (
    own_step,
    refuse_other_input,
    refuse_unreached,
    trail_of,
    unsaid,
)
from django_workflows.core.decisions import Change, Decide
from django_workflows.core.definition import CANCELLED, WorkflowDefinition
from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.frames import BranchStatus, Cursor, Frame, LoopFrame, ParallelFrame
from django_workflows.core.undoing import undone
from django_workflows.core.waits import Wait
from django_workflows.exceptions import InvalidTransition


def retry(
    definition: WorkflowDefinition,
    *,
    from_step: str | None,
    input: Mapping[str, Any] | None,
    by: str | None,
    history: Sequence[Entry],
    reason: str = "",
) -> Decide:
    """
    Return the decision that makes a failed execution pending again.

    It goes on at the step that failed, or at ``from_step`` of the workflow's own steps, which it
    must have come to by its ``history``. Nobody gets round an approval by that: behind one that
    was decided for another input, or not in favour, it cannot begin. Where steps were compensated,
    going on where it failed would build on what is no more: then ``from_step`` must be named, and
    to run such a step again is a new visit.
    """
    paths = undone(history)

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        if execution.status not in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
            raise InvalidTransition(execution.id, execution.status, "retry", "failed or cancelled")
        if paths and from_step is None:
            raise InvalidTransition(
                execution.id, "undone by its compensations", "retry", "told from_step="
            )
        refuse_unknown(definition, execution, from_step)
        trail = trail_of(definition, execution, history)
        if from_step is not None:
            refuse_unreached(execution, trail, from_step, "retry")
        if input is not None and input != execution.input:
            refuse_other_input(execution, trail, from_step)
            execution = replace(execution, ctx=unsaid(definition, execution, trail))
        cursor, ctx = reopened(execution.frames), execution.ctx
        if from_step is not None:
            cursor, ctx = _begun_at(from_step, definition, execution, paths)
        cursor = replace(cursor, retries=execution.frames.retries + 1)
        given = execution.input if input is None else input
        again = begun_again(execution, definition, cursor, ctx, result=None, input=given)
        told: dict[str, Any] = {"from_step": cursor.at, "reason": reason}
        if input is not None:
            told |= {"input": input, "input_before": execution.input}
        entry = entry_of_verb(execution, EntryAction.RETRIED, by, step=cursor.at, output=told)
        return Change(execution=again, entries=[entry], waits=withdrawn(waits))

    return decide


def _begun_at(
    step: str, definition: WorkflowDefinition, execution: Execution, undone: Sequence[str]
) -> tuple[Cursor, Mapping[str, Any]]:
    """Return where an execution stands that is to begin again at ``step``, and its variables."""
    before, state = execution.frames, execution.to_state()
    left = definition.graph.steps.get(before.at or "")
    if left is not None:
        state = left.abandoned(state, before.frame)
    # The error that led to a step is for that step alone.
    is_rescue = before.rescue and before.at == step
    if not is_rescue:
        state = state.without_ctx("_last_error")
    visits = {**before.visits, **_visits_after(undone)}
    return Cursor(at=step, visits=visits, rescue=is_rescue), state.ctx


def _visits_after(undone: Sequence[str]) -> dict[str, int]:
    """
    Return the number of the next visit to each of the workflow's own steps that was undone.

    What was refunded under one idempotency key cannot be charged again under the same.
    """
    visits: dict[str, int] = {}
    for path in undone:
        _, _, visit = path.partition("/")[0].partition("[")[0].partition("#")
        name = own_step(path)
        visits[name] = max(visits.get(name, 0), int(visit or 1) + 1)
    return visits


def reopened(cursor: Cursor) -> Cursor:
    """Return ``cursor`` with a first attempt ahead, and its failed branches to be run again."""
    end = None if cursor.end == CANCELLED else cursor.end
    return replace(cursor, attempt=1, end=end, frame=_reopened_frame(cursor.frame))


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
