"""Undo what completed steps did, in reverse, before a failed execution ends."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from functools import partial

from django_workflows.core import clock
from django_workflows.core.definition import CANCELLED
from django_workflows.core.engine.accepting import entry_of, kept
from django_workflows.core.engine.driving import Drive
from django_workflows.core.engine.failing import log_failure
from django_workflows.core.engine.leaving import Leave
from django_workflows.core.engine.staging import Accepted
from django_workflows.core.engine.visiting import StepRun
from django_workflows.core.engine.walking import ScopeWalk
from django_workflows.core.execution import (
    Compensation,
    ContinueResult,
    Entry,
    EntryAction,
    ExecutionStatus,
    State,
    StepOutcome,
)
from django_workflows.core.frames import Cursor
from django_workflows.core.retry import LONGEST_PAUSE_IN_PROCESS
from django_workflows.core.steps.base import Run, Step
from django_workflows.core.undoing import NOT_UNDONE
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import StepError, describe


class Gone(Step):
    """Stands for a compensation that was there when its step completed."""

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Raise StepError."""
        raise StepError(f"Step {self.name} is not in this version of the workflow any more.")


def compensate(drive: Drive, scope: ScopeWalk) -> Wait | None:
    """
    Run the compensations that are left, the latest first, and fail the execution.

    Each is written as it is done, so a crash goes on with the next. One that fails for good is
    named in the execution's error, and the others still run. Return the wait where one has to
    pause for longer than a worker should.
    """
    while drive.compensations:
        if drive.stopping is not None and drive.stopping():
            raise Leave
        wait = _undo(drive, scope, drive.compensations[-1])
        if wait is not None:
            return wait
    error = drive.execution.error
    if drive.cursor.end == CANCELLED:
        drive.events.append(drive.event("workflow.cancelled", reason=error))
        drive.checkpoint(status=ExecutionStatus.CANCELLED, **drive.released())
        return None
    drive.events.append(drive.event("workflow.failed", drive.cursor.at, error=error))
    drive.checkpoint(status=ExecutionStatus.FAILED, **drive.released())
    return None


def _undo(drive: Drive, scope: ScopeWalk, undo: Compensation) -> Wait | None:
    path = f"{undo.target}:{undo.step}"
    paused = drive.waits.get(path)
    if paused is not None:
        if paused.status == WaitStatus.OPEN:
            return paused
        drive.close(paused, WaitStatus.TAKEN)
    graph = drive.definition.undoing
    state = replace(
        drive.state(),
        ctx={**drive.ctx, **undo.ctx},
        current_step=undo.target,
        path=path,
        attempt=undo.attempt,
    )
    step = graph.steps.get(undo.target) or Gone(name=undo.target)
    run = StepRun(scope, graph, step, Cursor(at=undo.target), state)
    try:
        if run.step.atomic:
            drive.atomically(run.execute, partial(_accept, run), lambda: None)
        else:
            drive.or_undone(partial(_record, run, run.execute()), lambda: None)
    except Exception as error:  # noqa: BLE001  whatever the author's code raises
        return _failed(run, undo, error)
    return None


def _accept(run: StepRun, outcome: StepOutcome) -> Accepted:
    if not isinstance(outcome.result, ContinueResult):
        raise StepError(f"Step {run.step.name!r} is a compensation and cannot halt.")
    output = kept(run, "output", outcome.result.output)
    run.drive.log(entry_of(run, EntryAction.COMPENSATED, output), "step.compensated", output=output)
    run.drive.compensations = run.drive.compensations[:-1]
    return Accepted(cursor=run.cursor, state=run.state)


def _record(run: StepRun, outcome: StepOutcome) -> None:
    _accept(run, outcome)
    run.drive.checkpoint()


def _failed(run: StepRun, undo: Compensation, error: Exception) -> Wait | None:
    """Attempt again by the step's own policy, or go on without it."""
    drive, policy = run.drive, run.step.retry
    if policy.wants(error, undo.attempt):
        pause = policy.pause(undo.attempt)
        log_failure(run, EntryAction.RETRIED, error, pause=pause)
        again = replace(undo, attempt=undo.attempt + 1)
        drive.compensations = (*drive.compensations[:-1], again)
        if pause > LONGEST_PAUSE_IN_PROCESS:
            return _pause(run, error, pause)
        drive.checkpoint()
        time.sleep(pause)
        return None
    log_failure(run, EntryAction.FAILED, error)
    give_up(drive, error)
    return None


def give_up(drive: Drive, error: Exception) -> None:
    """Go on without the latest compensation, which the execution's error then names."""
    if not drive.compensations:
        return
    undo, drive.compensations = drive.compensations[-1], drive.compensations[:-1]
    not_undone = f"{undo.step!r} {NOT_UNDONE}: {describe(error)}"
    drive.checkpoint(error=f"{drive.execution.error} (and {not_undone})")


def give_up_poisoned(drive: Drive, error: Exception) -> None:
    """Go on without a compensation that kills its driver each time; the history says so, too."""
    for undo in drive.compensations[-1:]:
        entry = Entry(
            execution_id=drive.execution.id,
            step_id=f"{undo.target}:{undo.step}",
            action=EntryAction.FAILED,
            attempt=undo.attempt,
            error=describe(error),
        )
        drive.entries.append(entry)
    give_up(drive, error)


def _pause(run: StepRun, error: Exception, pause: float) -> Wait:
    wait = Wait(
        execution_id=run.state.execution_id,
        step=run.state.path,
        kind=WaitKind.RETRY,
        data={"error": describe(error), "attempt": run.state.attempt + 1},
        wake_at=clock.now() + timedelta(seconds=pause),
    )
    run.drive.open(wait)
    return wait
