"""Start an execution for somebody else to drive, and look how far it has come."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from django_workflows.core.engine.answering import find_wait
from django_workflows.core.execution import Execution, ExecutionResult, ExecutionStatus
from django_workflows.core.store import Store
from django_workflows.core.waits import Answer
from django_workflows.runners.base import Adapter, Driven, engine_of, ring
from django_workflows.runners.inline import InlineAdapter

_UNDER_WAY = {ExecutionStatus.PENDING, ExecutionStatus.RUNNING}


class Async:
    """A thin driver around an engine and an adapter; "async" means queued."""

    def __init__(
        self, driven: Driven, store: Store | None = None, adapter: Adapter | None = None
    ) -> None:
        """Take an engine, or a workflow and a store; without an adapter it is driven inline."""
        self.engine = engine_of(driven, store)
        self.adapter = adapter or InlineAdapter(self._drive)

    def _drive(self, execution_id: str) -> object:
        return self.engine.drive(execution_id)

    def run(
        self, input: Mapping[str, Any] | None = None, execution_id: str | None = None, **fields: Any
    ) -> Execution:
        """Write a pending execution and ring for it on commit; see Engine.create()."""
        execution = self.engine.create(input, execution_id, **fields)
        self.ring(execution)
        return execution

    def resume(
        self,
        execution_id: str,
        response: Any = None,
        approved: bool | None = None,  # noqa: FBT001  see Engine.resume()
        *,
        step: str | None = None,
        by: str | None = None,
    ) -> Execution:
        """Record the answer, ring on commit, and return the execution; see Engine.resume()."""
        target, wait = find_wait(self.engine.store, execution_id, step)
        answer = Answer(response=response, approved=approved, by=by)
        execution = self.engine.store.settle(target, wait, answer)
        self.ring(execution)
        return execution if target == execution_id else self.engine.store.load(execution_id)

    def ring(self, execution: Execution) -> None:
        """Ring for a pending execution once what this thread has written is committed."""
        if execution.status == ExecutionStatus.PENDING:
            ring(self.engine.store, self.adapter, execution)

    def status(self, execution_id: str) -> ExecutionStatus:
        """Return how far it has come. Raise ExecutionNotFound."""
        return self.engine.store.load(execution_id).status

    def wait(
        self, execution_id: str, timeout: float | None = None, *, interval: float = 0.05
    ) -> ExecutionResult:
        """
        Return the result once the execution has ended or halted.

        Looks every ``interval`` seconds, less often as time goes by. Raise TimeoutError after
        ``timeout`` seconds.
        """
        return wait_for(self.engine.result, execution_id, timeout, interval=interval)


def wait_for(
    result: Callable[[str], ExecutionResult],
    execution_id: str,
    timeout: float | None,
    *,
    interval: float = 0.05,
) -> ExecutionResult:
    """See Async.wait()."""
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        found = result(execution_id)
        if found.status not in _UNDER_WAY:
            return found
        if deadline is not None and time.monotonic() >= deadline:
            raise TimeoutError(
                f"Execution {execution_id} is {found.status} still, after {timeout:g} s."
            )
        time.sleep(interval)
        interval = min(interval * 1.5, 1.0)
