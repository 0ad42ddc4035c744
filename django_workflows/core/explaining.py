"""Why an execution is where it is, in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from django_workflows.core import clock
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.store import LOST
from django_workflows.core.undoing import NOT_UNDONE
from django_workflows.core.waits import Wait, WaitKind

Tally = Callable[[str], Mapping[ExecutionStatus, int]]


def explained(
    execution: Execution,
    waits: Sequence[Wait],
    tally: Tally,
    *,
    known: bool = True,
    unheard: str | None = None,
    undone: bool = False,
) -> str:
    """
    Return the sentence.

    ``waits`` are the open ones, ``tally`` says how many children of a step there are of each
    status, ``known`` if it is registered, ``unheard`` is its queue where no worker listens to
    that, and ``undone`` says if compensations have undone completed steps; see core.undoing.
    """
    status = execution.status
    if not known and not status.is_final:
        return (
            f"{status} at {_step(execution)}, but no workflow {execution.workflow_id!r} is"
            " registered here: is its app installed?"
        )
    if status == ExecutionStatus.HALTED:
        return " and ".join(_wait(wait, tally) for wait in waits) or _without_wait(execution)
    if status == ExecutionStatus.PENDING:
        return _pending(execution, unheard)
    if status == ExecutionStatus.RUNNING:
        return _running(execution)
    if status == ExecutionStatus.FAILED:
        return f"failed at {_step(execution)}: {execution.error}{_undone(execution, undone)}"
    if status == ExecutionStatus.CANCELLED:
        return f"cancelled at {_step(execution)}: {execution.error}{_undone(execution, undone)}"
    return f"completed {_when(execution.finished_at)}"


def _undone(execution: Execution, undone: bool) -> str:  # noqa: FBT001  as explained() was told
    if not undone:
        return ""
    # The error names each step whose compensation gave up.
    what = "what else" if NOT_UNDONE in (execution.error or "") else "what"
    return f", and {what} it had done was undone"


def _pending(execution: Execution, unheard: str | None) -> str:
    able = "runnable"
    if execution.error:
        able = f"to undo its completed steps after {execution.error},"
    since = _when(execution.updated_at)
    if unheard is not None:
        return f"{able} since {since}, but no worker listens on queue {unheard}"
    queue = f" on queue {execution.queue}" if execution.queue else ""
    return f"{able} since {since}, and waiting for a worker{queue}"


def _running(execution: Execution) -> str:
    doing = "undoing its completed steps after" if execution.error else "running"
    what = execution.error or _step(execution)
    expires = execution.lease_expires_at
    if expires is not None and expires < clock.now():
        silent = f"its driver has been silent since {_when(expires)}"
        return f"{doing} {what}, but {silent}: it will be taken over"
    return f"{doing} {what}, attempt {execution.attempt}, driven by {execution.lease_owner}"


def _without_wait(execution: Execution) -> str:
    if execution.fence == 0 and execution.parent_step is not None:
        return f"waiting for its turn among the children of {execution.parent_step}"
    return "halted, with no open wait"


def _wait(wait: Wait, tally: Tally) -> str:
    since = f"since {_when(wait.opened_at)}"
    until = f", until {_when(wait.wake_at)}" if wait.wake_at else ""
    if wait.kind == WaitKind.APPROVAL:
        who = " or ".join(approver.replace(":", " ", 1) for approver in wait.approvers) or "anybody"
        given = sum(1 for answer in wait.answers if answer.approved)
        count = f" ({given} of {wait.required} given)" if wait.required > 1 else ""
        return f"waiting at {wait.step} for an approval by {who}{count} {since}{until}"
    if wait.kind == WaitKind.EVENT:
        return f"waiting at {wait.step} for the event {wait.key} {since}{until}"
    if wait.kind == WaitKind.CHILD and wait.key is None:
        return f"{_group(wait, tally(wait.step))} {since}"
    if wait.kind == WaitKind.CHILD:
        return f"waiting at {wait.step} for its child {wait.key} {since}"
    if wait.kind == WaitKind.RETRY:
        return f"waiting to attempt {wait.step} again{until}, after {wait.data.get('error')}"
    if wait.kind == WaitKind.TIMER:
        return f"sleeping at {wait.step} {since}{until}"
    return f"halted at {wait.step} {since}: {wait.prompt or 'no reason given'}"


def _group(wait: Wait, counts: Mapping[ExecutionStatus, int]) -> str:
    live = sum(count for status, count in counts.items() if not status.is_final)
    lost = sum(counts.get(status, 0) for status in LOST)
    failed = f" ({lost:,} failed)" if lost else ""
    return f"waiting for {live:,} of {wait.data['total']:,} children of {wait.step}{failed}"


def _step(execution: Execution) -> str:
    return execution.current_step or "its beginning"


def _when(moment: datetime | None) -> str:
    return f"{moment:%a %Y-%m-%d %H:%M %Z}" if moment else "an unknown time"
