"""The course of one drive: walk on, and then complete, halt, fail or undo."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from django_workflows.core.engine.compensating import compensate, give_up_poisoned
from django_workflows.core.engine.driving import Drive, logger
from django_workflows.core.engine.leaving import Late, Leave
from django_workflows.core.engine.walking import ScopeWalk
from django_workflows.core.execution import (
    Entry,
    EntryAction,
    Execution,
    ExecutionStatus,
    HaltResult,
)
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import StepError, WorkflowTimeout, describe

if TYPE_CHECKING:
    from django_workflows.core.engine import Engine


def take(engine: Engine, drive: Drive) -> BaseException | None:
    """Walk from where the execution stands, until it rests; return the error where it failed."""
    awakened: list[Execution] = []
    # Awakened later: one that is driven here must not hold up the branches of this one.
    drive.do_left = partial(engine.do_left, drive, awakened.append)
    error = None
    try:
        error = _take(engine, drive)
    except Leave:
        drive.give_back()
    for execution in awakened:
        engine.awaken(execution)
    return error


def _take(engine: Engine, drive: Drive) -> BaseException | None:
    claims = drive.execution.claims
    poisoned = StepError(f"Poisoned: claimed {claims} times in a row without finishing a step.")
    if drive.execution.error is not None:
        drive.deadline_at = None  # an earlier version kept it while it undid
        if claims > engine.limits.claims:
            give_up_poisoned(drive, poisoned)
        _compensate(engine, drive)
        return None
    if claims > engine.limits.claims:
        return _fail(engine, drive, poisoned)
    if drive.cursor.at is None:
        drive.begin()
    try:
        ended = ScopeWalk(engine, drive, drive.put).walk(
            engine.definition.graph, drive.cursor, drive.state()
        )
    except Late as late:
        return _fail(engine, drive, late.error)
    except Exception as error:  # noqa: BLE001  whatever the author's code raises
        return _fail(engine, drive, error)
    if isinstance(ended, HaltResult):
        _suspend(drive)
    elif drive.execution.status == ExecutionStatus.RUNNING:
        drive.checkpoint(**drive.complete(ended.cursor.result(ended.state.ctx)))
    return None


def _fail(engine: Engine, drive: Drive, error: BaseException) -> BaseException:
    """Fail the execution, once what its completed steps did is undone."""
    message = describe(error)
    logger.error(
        "Execution %s of %s failed at %s: %s",
        drive.execution.id,
        engine.definition.id,
        drive.cursor.at,
        message,
        extra={
            "event": "workflow.failed",
            "execution_id": drive.execution.id,
            "workflow_id": engine.definition.id,
            "step": drive.cursor.at,
            "attempt": drive.cursor.attempt,
        },
    )
    _tell_why(drive, error, message)
    drive.let_go()
    if drive.compensations:
        drive.deadline_at = None
        drive.checkpoint(error=message)
        engine.do_left(drive)  # its children stop before what they build on is undone
        _compensate(engine, drive)
        return error
    drive.events.append(drive.event("workflow.failed", drive.cursor.at, error=message))
    drive.checkpoint(status=ExecutionStatus.FAILED, error=message, **drive.released())
    return error


def _tell_why(drive: Drive, error: BaseException, message: str) -> None:
    """Stage the entry of an error that is no step's, such as a deadline that has passed."""
    is_told = any(entry.action == EntryAction.FAILED for entry in drive.entries)
    if is_told or hasattr(error, "workflow_step"):
        return
    action = EntryAction.TIMED_OUT if isinstance(error, WorkflowTimeout) else EntryAction.FAILED
    drive.entries.append(
        Entry(
            execution_id=drive.execution.id,
            step_id=drive.cursor.at or drive.execution.current_step or "",
            action=action,
            attempt=drive.cursor.attempt,
            error=message,
        )
    )


def _compensate(engine: Engine, drive: Drive) -> None:
    # The position stays where the error was: a compensation moves nothing.
    if compensate(drive, ScopeWalk(engine, drive, lambda cursor, state: None)) is not None:
        _suspend(drive)


def _suspend(drive: Drive) -> None:
    """Halt, unless an answer came meanwhile; then the stored execution stays running."""
    for wait in [wait for wait in drive.waits.values() if wait.status == WaitStatus.SETTLED]:
        # The walk came by everything there is: this answer's step is in no version any more.
        drive.close(wait, WaitStatus.WITHDRAWN)
    first = next(wait for wait in drive.waits.values() if wait.status == WaitStatus.OPEN)
    changes = {
        "status": ExecutionStatus.HALTED,
        "recover_to": first.resume_step or first.step,
        "halt_data": dict(first.data),
        "lease_owner": None,
        "lease_expires_at": None,
    }
    drive.suspend(drive.event("workflow.halted", first.step, data=dict(first.data)), **changes)
