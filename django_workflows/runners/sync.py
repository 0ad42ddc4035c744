"""Drive an execution here, step after step, and answer its halts by a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django_workflows.core import clock
from django_workflows.core.execution import ExecutionResult, ExecutionStatus
from django_workflows.core.store import Store
from django_workflows.core.waits import Answer, Cause, Wait, WaitKind
from django_workflows.runners.base import Driven, engine_of

#: Gets the open wait; returns the response, a bool for an approval, or a mapping with any of the
#: keys response, approved and by.
Respond = Callable[[Wait], Any]

_TIMED = {WaitKind.TIMER: Cause.TIMER, WaitKind.RETRY: Cause.RETRY}


class Sync:
    """A thin driver around an engine; see Engine for the errors."""

    def __init__(self, driven: Driven, store: Store | None = None) -> None:
        """Take an engine, or a workflow and a store."""
        self.engine = engine_of(driven, store)

    def run(
        self, input: Mapping[str, Any] | None = None, execution_id: str | None = None, **fields: Any
    ) -> ExecutionResult:
        """See Engine.run()."""
        return self.engine.run(input, execution_id, **fields)

    def resume(self, execution_id: str, **answer: Any) -> ExecutionResult:
        """See Engine.resume()."""
        return self.engine.resume(execution_id, **answer)

    def run_until_complete(
        self,
        input: Mapping[str, Any] | None = None,
        respond: Respond | None = None,
        *,
        execution_id: str | None = None,
        **fields: Any,
    ) -> ExecutionResult:
        """
        Run, and answer every halt with what ``respond`` says, until the execution has ended.

        Timers and long retries are waited for. Returns the halted result where ``respond`` is
        missing or returns None to a person's wait.
        """
        result = self.run(input, execution_id, **fields)
        while result.status == ExecutionStatus.HALTED:
            answered = self._answer_one(result, respond)
            if answered is None:
                return result
            result = answered
        return result

    def _answer_one(
        self, result: ExecutionResult, respond: Respond | None
    ) -> ExecutionResult | None:
        """Answer the first wait that can be; return where that led, or None where none can be."""
        for wait in sorted(result.waits, key=_turn):
            if wait.kind in _TIMED:
                return self._wait_for(wait)
            if wait.kind == WaitKind.CHILD:
                children = map(self.engine.result, self._children(wait))
                if any(self._answer_one(child, respond) is not None for child in children):
                    return self.engine.result(result.execution_id)
                continue
            answer = respond(wait) if respond is not None else None
            if answer is not None:
                return self.resume(wait.execution_id, step=wait.id, **spread(answer, wait))
        return None

    def _children(self, wait: Wait) -> list[str]:
        """Return the child that ``wait`` is for, or those of the group that are halted."""
        if wait.key is not None:
            return [wait.key]
        return self.engine.store.execution_ids(
            parent=wait.execution_id, parent_step=wait.step, status=ExecutionStatus.HALTED
        )

    def _wait_for(self, wait: Wait) -> ExecutionResult:
        if wait.wake_at is not None:
            time.sleep(max(0.0, (wait.wake_at - clock.now()).total_seconds()))
        settled = self.engine.store.settle(
            wait.execution_id, wait.id, Answer(cause=_TIMED[wait.kind])
        )
        engine = self.engine.sibling(settled.workflow_id)
        return engine.drive(settled.id) or engine.result(settled.id)


def _turn(wait: Wait) -> tuple[bool, datetime]:
    """Put what can be answered now before timers, and of those the earliest first."""
    is_timed = wait.kind in _TIMED
    return is_timed, wait.wake_at if is_timed and wait.wake_at else wait.opened_at


def spread(answer: Any, wait: Wait) -> dict[str, Any]:
    """Return what a respond function said as keyword arguments of resume()."""
    if isinstance(answer, Mapping) and answer and set(answer) <= {"response", "approved", "by"}:
        return dict(answer)
    if wait.kind == WaitKind.APPROVAL and isinstance(answer, bool):
        return {"approved": answer}
    return {"response": answer}
