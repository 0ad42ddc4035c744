"""The engine: creates, claims and drives executions, and brings each to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from django_workflows.core import clock
from django_workflows.core.definition import WorkflowDefinition, find_definition
from django_workflows.core.engine.agenda import Agenda
from django_workflows.core.engine.answering import find_wait
from django_workflows.core.engine.arriving import Awaken
from django_workflows.core.engine.beginning import new_execution, refuse_atomic
from django_workflows.core.engine.chores import Chores
from django_workflows.core.engine.course import take
from django_workflows.core.engine.driving import Drive, logger
from django_workflows.core.engine.heartbeat import BEATS_A_LEASE, Beat, heartbeat
from django_workflows.core.engine.leaving import Stop
from django_workflows.core.engine.limits import Limits
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import (
    Event,
    Execution,
    ExecutionResult,
    ExecutionStatus,
)
from django_workflows.core.logs import log
from django_workflows.core.presence import new_owner
from django_workflows.core.store import Store
from django_workflows.core.waits import Answer, Wait, WaitStatus
from django_workflows.exceptions import (
    InputError,
    StaleExecution,
    StoreUnavailable,
    UnknownWorkflow,
)

Emit = Callable[[Event], None]


class Engine:
    """
    Runs the executions of one definition on one store.

    ``emit`` is told of every transition after it was written; what it raises does no harm.
    ``lookup`` finds the definitions of child workflows by id. ``awaken`` is called with an
    execution that became pending by what happened here, such as the parent of a child that
    ended; left out, it is driven here, after what is being driven. Once ``stopping()``, what is
    driven comes to rest after its current step, for another process to go on.
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
        stopping: Callable[[], bool] | None = None,
        agenda: Agenda | None = None,
    ) -> None:
        self.definition = definition
        self.store = store
        self.emit = emit
        self.limits = limits or Limits()
        self.threads = threads or Threads()
        self.lookup = lookup or self._only_own
        self.agenda = agenda or Agenda()
        self.awaken = awaken or self.agenda.add
        self.stopping = stopping
        if not store.supports_atomic:
            refuse_atomic(definition, store)

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
            updated_at=now,
            lease_owner=owner,
            lease_expires_at=now + self.limits.lease,
            fence=1,
            claims=1,
            **fields,
        )
        stored = self.write(claimed)
        if stored.lease_owner != owner:
            return self.drive(stored.id) or self.result(stored.id)
        return self.drive_claimed(stored)

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
        target, wait = find_wait(self.store, execution_id, step)
        settled = self.store.settle(target, wait, answer)
        if settled.status == ExecutionStatus.PENDING:
            self.sibling(settled.workflow_id).drive(settled.id)
        return self.result(execution_id)

    def drive(self, execution_id: str) -> ExecutionResult | None:
        """
        Claim an execution and drive it until it completes, halts or fails.

        Return None where it may not be driven: somebody else does, or there is nothing to do.
        Raise ExecutionNotFound.
        """
        self.store.refuse_open_transaction()
        execution = self.store.claim(execution_id, new_owner(), self.limits.lease)
        return None if execution is None else self.drive_claimed(execution)

    def drive_claimed(self, execution: Execution) -> ExecutionResult:
        """Drive an execution that was claimed for this engine, see drive()."""
        # The first claim wrote both.
        is_first = execution.started_at == execution.updated_at
        self.tell("workflow.started" if is_first else "workflow.resumed", execution)
        # Whatever opens a wait before the first claim lets the fence grow.
        is_new = execution.fence == 1
        with self.agenda.turn() as is_outermost:
            result = self._drive(execution, [] if is_new else self.store.waits(execution.id))
            if is_outermost and self.agenda.work_off(self._drive_next, self._is_stopping):
                # What it waited for may have come, so that it went on.
                now = self.result(execution.id)
                result = result if now.status == result.status else now
        return result

    def result(self, execution_id: str) -> ExecutionResult:
        """Return where an execution stands. Raise ExecutionNotFound."""
        execution = self.store.load(execution_id)
        if execution.status != ExecutionStatus.HALTED:
            return execution.to_result()
        return execution.to_result(self.store.waits(execution.id, status=WaitStatus.OPEN))

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
                stopping=self.stopping,
            )
            error: BaseException | None = None
            try:
                with heartbeat.keep(self._beat(drive)):
                    error = take(self, drive)
            except Stop as stop:
                if not isinstance(stop.error, StaleExecution):
                    if isinstance(stop.error, StoreUnavailable):
                        stop.error.driven = (execution.id, execution.fence)
                    raise stop.error from stop.error.__cause__
                logger.info("%s", stop.error, extra={"execution_id": execution.id})
                return self.result(execution.id)
            execution = drive.execution
            again = self._go_on(drive)
            if again is None:
                break
            execution, waits = again
        return execution.to_result(
            [wait for wait in drive.waits.values() if wait.status == WaitStatus.OPEN], error
        )

    def _go_on(self, drive: Drive) -> tuple[Execution, list[Wait]] | None:
        """
        Do the chores that the drive has left.

        Return the execution, claimed, and its waits where it can go on at once.
        """
        execution = drive.execution
        mine: list[Execution] = []

        def awaken(woken: Execution) -> None:
            (mine.append if woken.id == execution.id else self.awaken)(woken)

        self.do_left(drive, awaken)
        if execution.status == ExecutionStatus.RUNNING:  # an answer came while it was to halt
            return execution, self.store.waits(execution.id)
        if execution.status == ExecutionStatus.PENDING:  # given back
            self.awaken(execution)
        elif mine:
            claimed = self.store.claim(execution.id, new_owner(), self.limits.lease)
            if claimed is not None:
                return claimed, self.store.waits(execution.id)
        return None

    def do_left(self, drive: Drive, awaken: Awaken | None = None) -> None:
        """Do the chores that a drive has written."""
        left, drive.left = drive.left, []
        Chores(self.store, awaken or self.awaken, self.tell).do(left)

    def _beat(self, drive: Drive) -> Beat:
        """Return how the lease of a claimed execution is kept."""
        lease, execution = self.limits.lease, drive.execution
        # Of what is not committed yet, as in a TestCase, the other thread sees nothing.
        blind = partial(self.store.renew, execution.id, execution.fence, lease)
        return Beat(
            renew=drive.renew if self.threads.allowed() else blind,
            every=lease.total_seconds() / BEATS_A_LEASE,
            clean_up=self.threads.clean_up,
        )

    # Children -----------------------------------------------------------------------------------

    def sibling(self, workflow_id: str, **changes: Any) -> Engine:
        """Return the same engine for another workflow."""
        return Engine(
            find_definition(workflow_id, self.lookup),
            self.store,
            **{
                "emit": self.emit,
                "limits": self.limits,
                "threads": self.threads,
                "lookup": self.lookup,
                "awaken": self.awaken,
                "stopping": self.stopping,
                "agenda": self.agenda,
                **changes,
            },
        )

    def _drive_next(self, execution: Execution) -> None:
        self.sibling(execution.workflow_id).drive(execution.id)

    def _is_stopping(self) -> bool:
        return self.stopping is not None and self.stopping()

    def _only_own(self, workflow_id: str) -> WorkflowDefinition:
        if workflow_id == self.definition.id:
            return self.definition
        raise UnknownWorkflow(workflow_id, [self.definition.id])

    # Helpers ------------------------------------------------------------------------------------

    def new(
        self, input: Mapping[str, Any] | None, execution_id: str | None, **fields: Any
    ) -> Execution:
        """Return a new execution, not written yet; see create()."""
        most = self.limits.payload_bytes
        return new_execution(self.definition, input, execution_id, most_bytes=most, **fields)

    def write(self, execution: Execution) -> Execution:
        """Write what new() returned, or return what is there already; see create()."""
        stored = self.store.create(execution)
        if stored.workflow_id != self.definition.id:
            raise InputError(
                self.definition.id,
                {"execution_id": f"{stored.id!r} is an execution of {stored.workflow_id!r}"},
            )
        return stored

    def tell(self, name: str, execution: Execution, /, **data: Any) -> None:
        event = Event(
            name=name, execution_id=execution.id, workflow_id=execution.workflow_id, data=data
        )
        self._emit(event)

    def _emit(self, event: Event) -> None:
        log(event)
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
