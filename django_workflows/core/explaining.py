"""Why an execution is where it is, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django_workflows.core import clock
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.waits import Wait, WaitKind


def explained(execution: Execution, waits: Sequence[Wait], *, known: bool = True) -> str:
    """Return the sentence; ``waits`` are the open ones, ``known`` says if it is registered."""
    status = execution.status
    if not known and not status.is_final:
        return (
            f"{status} at {_step(execution)}, but no workflow {execution.workflow_id!r} is"
            " registered here: is its app installed?"
        )
    if status == ExecutionStatus.HALTED:
        return " and ".join(_wait(wait) for wait in waits) or "halted, with no open wait"
    if status == ExecutionStatus.PENDING:
        queue = f" on queue {execution.queue}" if execution.queue else ""
        return f"runnable since {_when(execution.updated_at)}, and waiting for a worker{queue}"
    if status == ExecutionStatus.RUNNING:
        return _running(execution)
    if status == ExecutionStatus.FAILED:
        return f"failed at {_step(execution)}: {execution.error}"
    if status == ExecutionStatus.CANCELLED:
        return f"cancelled at {_step(execution)}: {execution.error}"
    return f"completed {_when(execution.finished_at)}"


def _running(execution: Execution) -> str:
    doing = "undoing its completed steps after" if execution.error else "running"
    what = execution.error or _step(execution)
    expires = execution.lease_expires_at
    if expires is not None and expires < clock.now():
        silent = f"its driver has been silent since {_when(expires)}"
        return f"{doing} {what}, but {silent}: it will be taken over"
    return f"{doing} {what}, attempt {execution.attempt}, driven by {execution.lease_owner}"


def _wait(wait: Wait) -> str:
    since = f"since {_when(wait.opened_at)}"
    until = f", until {_when(wait.wake_at)}" if wait.wake_at else ""
    if wait.kind == WaitKind.APPROVAL:
        who = " or ".join(approver.replace(":", " ", 1) for approver in wait.approvers) or "anybody"
        given = sum(1 for answer in wait.answers if answer.approved)
        count = f" ({given} of {wait.required} given)" if wait.required > 1 else ""
        return f"waiting at {wait.step} for an approval by {who}{count} {since}{until}"
    if wait.kind == WaitKind.EVENT:
        return f"waiting at {wait.step} for the event {wait.key} {since}{until}"
    if wait.kind == WaitKind.CHILD:
        return f"waiting at {wait.step} for its child {wait.key} {since}"
    if wait.kind == WaitKind.RETRY:
        return f"waiting to attempt {wait.step} again{until}, after {wait.data.get('error')}"
    if wait.kind == WaitKind.TIMER:
        return f"sleeping at {wait.step} {since}{until}"
    return f"halted at {wait.step} {since}: {wait.prompt or 'no reason given'}"


def _step(execution: Execution) -> str:
    return execution.current_step or "its beginning"


def _when(moment: datetime | None) -> str:
    return f"{moment:%a %Y-%m-%d %H:%M %Z}" if moment else "an unknown time"
