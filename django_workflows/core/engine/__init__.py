"""The engine: creates, claims and drives executions, and brings each to its end."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from django_workflows.core import clock
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.engine.arriving import settle_arrived, tell_parent
from django_workflows.core.engine.course import take
from django_workflows.core.engine.driving import Drive, Limits, Stop, logger
from django_workflows.core.engine.heartbeat import BEATS_A_LEASE, Beat, heartbeat
from django_workflows.core.engine.orphans import cancel_orphan
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import (
    FINAL_STATUSES,
    Event,
    Execution,
    ExecutionResult,
    ExecutionStatus,
)
from django_workflows.core.ids import canonical, new_id
from django_workflows.core.inputs import checked
from django_workflows.core.store import Store
from django_workflows.core.waits import Answer, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import (
    ConfigurationError,
    InputError,
    StaleExecution,
    UnknownWorkflow,
)

Emit = Callable[[Event], None]


class Engine:
    """
    Runs the executions of one definition on one store.

    ``emit`` is told of every transition after it was written; what it raises does no harm.
    ``lookup`` finds the definitions of child workflows by id. ``awaken`` is called with an
    execution that became pending by what happened here, such as the parent of a child that
    ended; left out, it is driven here and now.
    """

    def __init__(
        self,
        definition: WorkflowDefinition,
        store: Store,
        *,
        emit: Emit | None = None,
        limits: Limits | None = None,
        threads: Threads | None = None,
        lookup: Callable[[str], WorkflowDefinition] | None = None,
        awaken: Callable[[Execution], object] | None = None,
    ) -> None:
        self.definition = definition
        self.store = store
        self.emit = emit
        self.limits = limits or Limits()
        self.threads = threads or Threads()
        self.lookup = lookup or self._only_own
        self.awaken = awaken or self._drive_here
        if not store.supports_atomic:
            self._refuse_atomic()

    # Verbs --------------------------------------------------------------------------------------

    def create(
        self, input: Mapping[str, Any] | None = None, execution_id: str | None = None, **fields: Any
    ) -> Execution:
        """
        Write a pending execution and return it; the same id or key again returns the first.

        ``fields`` are fields of Execution. Raise InputError, with nothing written.
        """
        return self.write(self.new(input, execution_id, **fields))

    def run(
        self, input: Mapping[str, Any] | None = None, execution_id: str | None = None, **fields: Any
    ) -> ExecutionResult:
        """Start an execution and drive it here until it completes, halts or fails; see create()."""
        self.store.refuse_open_transaction()
        now = clock.now()
        owner = new_owner()
        claimed = self.new(
            input,
            execution_id,
            status=ExecutionStatus.RUNNING,
            started_at=now,
            lease_owner=owner,
            lease_expires_at=now + self.limits.lease,
            fence=1,
            claims=1,
            **fields,
        )
        stored = self.write(claimed)
        if stored.lease_owner != owner:
            return self.drive(stored.id) or self.result(stored.id)
        self._tell("workflow.started", stored)
        return self._drive(stored, [])

    def resume(
        self,
        execution_id: str,
        response: Any = None,
        approved: bool | None = None,  # noqa: FBT001  a decision reads well as the second word
        *,
        step: str | None = None,
        by: str | None = None,
    ) -> ExecutionResult:
        """
        Answer an open wait and drive on here. The answer is checked for fit, not for who gives it.

        Raise ExecutionNotFound, NotResumable or AlreadyResumed.
        """
        self.store.refuse_open_transaction()
        answer = Answer(response=response, approved=approved, by=by)
        target, wait = self.find_wait(execution_id, step)
        settled = self.store.settle(target, wait, answer)
        if settled.status == ExecutionStatus.PENDING:
            self.sibling(settled.workflow_id, awaken=None).drive(settled.id)
        return self.result(execution_id)

    def drive(self, execution_id: str) -> ExecutionResult | None:
        """
        Claim an execution and drive it until it completes, halts or fails.

        Return None where it may not be driven: somebody else does, or there is nothing to do.
        Raise ExecutionNotFound.
        """
        self.store.refuse_open_transaction()
        execution = self.store.claim(execution_id, new_owner(), self.limits.lease)
        if execution is None:
            return None
        self._tell("workflow.started" if execution.fence == 1 else "workflow.resumed", execution)
        return self._drive(execution, self.store.waits(execution.id))

    def result(self, execution_id: str) -> ExecutionResult:
        """Return where an execution stands. Raise ExecutionNotFound."""
        execution = self.store.load(execution_id)
        if execution.status != ExecutionStatus.HALTED:
            return execution.to_result()
        return execution.to_result(self.store.waits(execution.id, status=WaitStatus.OPEN))

    def find_wait(self, execution_id: str, step: str | None) -> tuple[str, str | None]:
        """
        Return the execution and step that an answer is meant for: through children, to the last.

        Resuming a parent that waits for its child resumes the child.
        """
        execution = self.store.load(execution_id)
        waits = self.store.waits(execution.id, status=WaitStatus.OPEN)
        named = [wait for wait in waits if step is None or step in {wait.step, wait.id}]
        if len(named) == 1 and named[0].kind == WaitKind.CHILD and named[0].key:
            return self.find_wait(named[0].key, None)
        return execution.id, step

    # Driving ------------------------------------------------------------------------------------

    def _drive(self, execution: Execution, waits: Sequence[Wait]) -> ExecutionResult:
        """Drive a claimed execution to its rest; a late driver stops quietly."""
        while True:
            drive = Drive(
                execution,
                self.definition,
                self.store,
                emit=self._emit,
                limits=self.limits,
                threads=self.threads,
                waits=waits,
            )
            error: BaseException | None = None
            try:
                with heartbeat.keep(self._beat(execution)):
                    error = take(self, drive)
            except Stop as stop:
                if not isinstance(stop.error, StaleExecution):
                    raise stop.error from stop.error.__cause__
                logger.info("%s", stop.error, extra={"execution_id": execution.id})
                return self.result(execution.id)
            execution = drive.execution
            self._end_orphans(drive)
            again = self._came_meanwhile(drive)
            if again is None:
                break
            execution, waits = again
        if execution.status in FINAL_STATUSES:
            tell_parent(self.store, execution, self.awaken)
        return execution.to_result(
            [wait for wait in drive.waits.values() if wait.status == WaitStatus.OPEN], error
        )

    def _end_orphans(self, drive: Drive) -> None:
        """Cancel the children that the drive gave up."""
        reason = f"{drive.execution.id} waits for it no more"
        for child in drive.orphans:
            cancel_orphan(self.store, child, reason, None, self._tell_cancelled)

    def _tell_cancelled(self, execution: Execution, reason: str) -> None:
        self._tell("workflow.cancelled", execution, reason=reason)

    def _beat(self, execution: Execution) -> Beat:
        """Return how the lease of a claimed execution is kept."""
        lease = self.limits.lease
        return Beat(
            renew=partial(self.store.renew, execution.id, execution.fence, lease),
            every=lease.total_seconds() / BEATS_A_LEASE,
            clean_up=self.threads.clean_up,
        )

    def _came_meanwhile(self, drive: Drive) -> tuple[Execution, list[Wait]] | None:
        """Return the execution, claimed, and its waits where it can go on at once."""
        execution = drive.execution
        if execution.status == ExecutionStatus.RUNNING:
            return execution, self.store.waits(execution.id)
        if execution.status == ExecutionStatus.HALTED and settle_arrived(
            self.store, drive.waits.values()
        ):
            claimed = self.store.claim(execution.id, new_owner(), self.limits.lease)
            if claimed is not None:
                return claimed, self.store.waits(execution.id)
        return None

    # Children -----------------------------------------------------------------------------------

    def sibling(self, workflow_id: str, **changes: Any) -> Engine:
        """Return the same engine for another workflow."""
        awaken = None if self.awaken == self._drive_here else self.awaken
        return Engine(
            self.lookup(workflow_id),
            self.store,
            **{
                "emit": self.emit,
                "limits": self.limits,
                "threads": self.threads,
                "lookup": self.lookup,
                "awaken": awaken,
                **changes,
            },
        )

    def _drive_here(self, execution: Execution) -> None:
        self.sibling(execution.workflow_id).drive(execution.id)

    def _only_own(self, workflow_id: str) -> WorkflowDefinition:
        if workflow_id == self.definition.id:
            return self.definition
        raise UnknownWorkflow(workflow_id, [self.definition.id])

    # Helpers ------------------------------------------------------------------------------------

    def new(
        self, input: Mapping[str, Any] | None, execution_id: str | None, **fields: Any
    ) -> Execution:
        """Return a new execution, not written yet; see create()."""
        definition = self.definition
        cleaned = checked(definition.input, definition.id, input, self.limits.payload_bytes)
        if execution_id is not None and canonical(execution_id) is None:
            raise InputError(
                definition.id,
                {"execution_id": f"{execution_id!r} is no UUID; give your own as idempotency_key="},
            )
        now = clock.now()
        deadline = now + definition.timeout if definition.timeout is not None else None
        return Execution(
            **{
                "id": canonical(execution_id) if execution_id else new_id(),
                "workflow_id": definition.id,
                "workflow_version": definition.version,
                "input": cleaned,
                "created_at": now,
                "updated_at": now,
                "deadline_at": deadline,
                "current_step": definition.graph.first,
                **fields,
            }
        )

    def write(self, execution: Execution) -> Execution:
        """Write what new() returned, or return what is there already; see create()."""
        stored = self.store.create(execution)
        if stored.workflow_id != self.definition.id:
            raise InputError(
                self.definition.id,
                {"execution_id": f"{stored.id!r} is an execution of {stored.workflow_id!r}"},
            )
        return stored

    def _refuse_atomic(self) -> None:
        atomic = [path for path, step, _ in self.definition.graph.walk() if step.atomic]
        if atomic:
            raise ConfigurationError(
                f"{type(self.store).__name__} cannot commit a step's own writes with its"
                f" checkpoint, which {', '.join(atomic)} of {self.definition.id!r} asks for"
                " (atomic)."
            )

    def _tell(self, name: str, execution: Execution, **data: Any) -> None:
        event = Event(
            name=name, execution_id=execution.id, workflow_id=execution.workflow_id, data=data
        )
        self._emit(event)

    def _emit(self, event: Event) -> None:
        if self.emit is not None:
            self.robustly(self.emit, event)

    def robustly(self, subscriber: Callable[[Event], object], event: Event) -> None:
        """Tell ``subscriber``; what it raises is logged."""
        try:
            subscriber(event)
        except Exception:  # noqa: BLE001  a subscriber is not the engine's business
            logger.exception(
                "A subscriber failed on %s", event.name, extra={"execution_id": event.execution_id}
            )


def new_owner() -> str:
    """Return a lease owner that nobody had before, not even this process."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(6)}"
