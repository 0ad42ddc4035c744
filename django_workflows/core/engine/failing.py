"""What a step's error leads to: another attempt, its on_error step, or the end."""

from __future__ import annotations

import time
import traceback
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django_workflows.core import clock
from django_workflows.core.engine.accepting import with_last_error
from django_workflows.core.engine.chores import Chores, take_below
from django_workflows.core.engine.driving import logger
from django_workflows.core.engine.leaving import Stop
from django_workflows.core.engine.staging import Accepted
from django_workflows.core.execution import Entry, EntryAction, HaltResult
from django_workflows.core.frames import StepFrame
from django_workflows.core.retry import LONGEST_PAUSE_IN_PROCESS
from django_workflows.core.waits import Wait, WaitKind
from django_workflows.exceptions import describe, escaped, message_of

if TYPE_CHECKING:
    from django_workflows.core.engine.visiting import StepRun

#: Kept of a traceback; its end says more than its beginning.
LONGEST_TRACEBACK = 8_000


def handle(run: StepRun, error: Exception) -> Accepted | None:
    """Return how to go on after ``error``, None to attempt again at once, or raise it."""
    policy, attempt = run.step.retry, run.state.attempt
    if policy.wants(error, attempt):
        return _again(run, error, policy.pause(attempt))
    with run.drive.lock:
        run.close_taken()
        log_failure(run, EntryAction.FAILED, error)
        if run.step.fans_out:
            run.children.let_go()
        if run.step.on_error is None:
            raise error
        rescued = _rescued(run, error)
    _stop_children(run)
    return rescued


def _rescued(run: StepRun, error: Exception) -> Accepted:
    """Go on at ``on_error``."""
    failure = {
        "step": getattr(error, "workflow_step", run.state.path),
        "class": type(error).__name__,
        "message": message_of(error),
    }
    run.drive.withdraw(f"{run.state.path}/")
    run.drive.withdraw(f"{run.state.path}[")
    with suppress(AttributeError):  # it may be raised again, by another step
        del error.workflow_step  # type: ignore[attr-defined]
    cursor = run.graph.advance(run.cursor, run.step.on_error, rescue=True)
    state = run.step.abandoned(run.state, run.cursor.frame)
    outer = state.ctx.get("_last_error")
    if run.cursor.rescue:  # then that is this scope's own, and what lay before it counts
        outer = run.cursor.outer_error
    if cursor.end is None:
        cursor = replace(cursor, outer_error=outer)
        state = replace(state, ctx=with_last_error(state.ctx, failure))
    else:  # no step of this scope is there to see it
        state = replace(state, ctx=with_last_error(state.ctx, outer))
    run.walk.put(cursor, state)
    run.drive.checkpoint()
    return Accepted(cursor=cursor, state=state)


def _stop_children(run: StepRun) -> None:
    """
    Do what the failed step has left: its children stop before its ``on_error`` begins.

    Not under the lock: there may be thousands, and other branches write meanwhile.
    """
    drive, engine = run.drive, run.walk.engine
    with drive.lock:
        left = take_below(drive.left, drive.execution.id, run.state.path)
    chores = Chores(drive.store, engine.awaken, engine.tell, driven=drive.execution)
    try:
        chores.do(left)
    except Exception as error:
        raise Stop(error) from error  # no step has raised it, so no on_error is to see it


def _again(run: StepRun, error: Exception, pause: float) -> Accepted | None:
    """Stage the next attempt: here after a short pause, or as a durable wait for a long one."""
    log_failure(run, EntryAction.RETRIED, error, pause=pause)
    if run.answer is None:
        run.close_taken()
    run.cursor = replace(run.cursor, attempt=run.cursor.attempt + 1)
    run.state = replace(run.state, attempt=run.cursor.attempt)
    if pause > LONGEST_PAUSE_IN_PROCESS:
        return _wait_for_retry(run, error, pause)
    run.walk.put(run.cursor, run.state)
    run.drive.checkpoint()
    time.sleep(pause)
    return None


def _wait_for_retry(run: StepRun, error: Exception, pause: float) -> Accepted:
    data = {"error": describe(error), "attempt": run.cursor.attempt}
    due = clock.now() + timedelta(seconds=pause)
    wait = Wait(
        execution_id=run.state.execution_id,
        step=run.state.path,
        kind=WaitKind.RETRY,
        data=data,
        wake_at=due,
    )
    run.close_taken()
    run.drive.open(wait)
    run.cursor = replace(run.cursor, frame=StepFrame(halted=True))
    run.walk.put(run.cursor, run.state)
    run.drive.checkpoint()
    halt = HaltResult(data=data, kind=WaitKind.RETRY, wake_at=due)
    return Accepted(cursor=run.cursor, state=run.state, halt=halt)


def log_failure(run: StepRun, action: EntryAction, error: Exception, **facts: Any) -> None:
    """Stage the entry of a failed attempt, and log it."""
    path = run.state.path
    if not hasattr(error, "workflow_step"):
        # The first step that it passes is the one it came from.
        with suppress(AttributeError):  # a frozen one
            error.workflow_step = path  # type: ignore[attr-defined]
    message = describe(error)
    entry = Entry(
        execution_id=run.state.execution_id,
        step_id=path,
        step_type=run.step.type,
        action=action,
        attempt=run.state.attempt,
        duration_ms=round((time.monotonic() - run.began) * 1000),
        input=run.given,
        error=message,
        traceback=short_traceback(error),
    )
    event = "step.failed" if action == EntryAction.FAILED else "step.retried"
    run.drive.log(entry, event, error=message, attempt=run.state.attempt, **facts)
    logger.warning(
        "Step %s of execution %s %s: %s",
        path,
        run.state.execution_id,
        action,
        message,
        extra={
            "execution_id": run.state.execution_id,
            "workflow_id": run.state.workflow_id,
            "step": path,
            "attempt": run.state.attempt,
            "action": action,
        },
    )


def short_traceback(error: BaseException) -> str:
    """Return the traceback of ``error`` without local variables, bounded in length."""
    return escaped("".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:])
