"""Begin later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from django_workflows.core import clock
from django_workflows.core.decisions import Change, Decide
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.waits import Wait, WaitKind
from django_workflows.exceptions import InvalidTransition


def postpone(pause: timedelta) -> Decide:
    """
    Return the decision that lets a new execution begin only after ``pause``.

    Its time is counted from then. Raise InvalidTransition where it has begun already.
    """

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        if execution.status != ExecutionStatus.PENDING or execution.fence:
            raise InvalidTransition(execution.id, execution.status, "a delay", "not begun yet")
        until = clock.now() + pause
        data = {"until": until}
        step = execution.current_step or ""
        wait = Wait(
            execution_id=execution.id, step=step, kind=WaitKind.TIMER, data=data, wake_at=until
        )
        halted = replace(
            execution,
            status=ExecutionStatus.HALTED,
            recover_to=step,
            halt_data=data,
            fence=execution.fence + 1,
            deadline_at=execution.deadline_at and execution.deadline_at + pause,
        )
        return Change(execution=halted, waits=[wait])

    return decide
