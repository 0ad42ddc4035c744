"""One driver's hold on one execution: the checkpoints of what is staged."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from threading import local
from time import monotonic
from typing import Any, TypeVar

from django_workflows.core import clock
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.definition import HALT, WorkflowDefinition
from django_workflows.core.engine.leaving import Late, Leave, Stop
from django_workflows.core.engine.limits import Limits
from django_workflows.core.engine.staging import Accepted, Staging
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import FINAL_STATUSES, Event, Execution, ExecutionStatus
from django_workflows.core.records import evolve
from django_workflows.core.store import Store, without_closed
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import (
    StaleExecution,
    StoreUnavailable,
    WorkflowTimeout,
    describe,
)

T = TypeVar("T")

logger = logging.getLogger("django_workflows")

#: Seconds without a write after which a connection may have been closed by the other end.
IDLE = 1.0

#: What a wait of these kinds waits for may have come before it was written.
_MET = {WaitKind.EVENT, WaitKind.CHILD}


class Drive(Staging):
    """
    Drives one claimed execution.

    What steps do is staged, and checkpoint() writes it as one. ``lock`` guards all of it: branches
    run in threads, and their checkpoints write the same row one after another.
    """

    def __init__(
        self,
        execution: Execution,
        definition: WorkflowDefinition,
        store: Store,
        *,
        emit: Callable[[Event], None],
        limits: Limits,
        threads: Threads,
        waits: Sequence[Wait] = (),
        stopping: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(execution, definition, store, waits)
        self.emit = emit
        self.limits = limits
        self.threads = threads
        self.left: list[Chore] = []  # written, and to be done by this driver
        self.do_left: Callable[[], object] | None = None  # does them, while it still drives
        self.has_written = False
        self.stopping = stopping
        self.is_lost = False  # the lease could not be renewed: another has it, or it is cancelled
        self.used = local()  # when each thread wrote last: connections are a thread's own
        self.used.at = monotonic()  # the claim

    def snapshot(self, **changes: Any) -> Execution:
        """Return the execution as it would be written now."""
        now = clock.now()
        values: dict[str, Any] = {
            "ctx": self.ctx,
            "frames": self.cursor,
            "current_step": self.cursor.at,
            "attempt": self.cursor.attempt,
            "compensations": self.compensations,
            "updated_at": now,
            "deadline_at": self.deadline_at,
            "lease_expires_at": now + self.limits.lease,
            "claims": 0,
            **changes,
        }
        return evolve(self.execution, **values)

    def checkpoint(self, **changes: Any) -> None:
        """Write what is staged. Raise Stop where that is refused, with nothing written."""
        with self.lock:
            self._reconnect()
            after = self._write(**changes)
            self._written(after)
            if after.status == ExecutionStatus.RUNNING:
                self._meet()

    def before_children(self) -> None:
        """Write what children build on, of a workflow that is written at its rests alone."""
        if self.definition.durability == HALT and self.entries:
            self.checkpoint()

    def suspend(self, event: Event, **changes: Any) -> None:
        """Write what is staged as a halt; where an answer came meanwhile, it goes on running."""
        with self.lock:
            self._reconnect()
            after = self.snapshot(**changes)
            waits = without_closed(self.changed)
            self._leave_to_meet(self.waits.values())
            try:
                stored = self.store.suspend(
                    after, self.entries, after.fence, waits, chores=self.chores
                )
            except Exception as error:
                raise Stop(error) from error
            if stored.status == ExecutionStatus.HALTED:
                self.events.append(event)
            self._written(stored)

    def _write(self, **changes: Any) -> Execution:
        after = self.snapshot(**changes)
        waits = without_closed(self.changed)
        self._leave_to_meet(waits)
        if after.parent is not None and after.status in FINAL_STATUSES:
            self.chores.append(Chore(kind=ChoreKind.MEET, execution_id=after.parent))
        try:
            self.store.checkpoint(
                after,
                self.entries,
                self.execution.fence,
                waits,
                chores=self.chores,
                previous=self.execution,
            )
        except (StaleExecution, StoreUnavailable) as error:
            raise Stop(error) from error
        return after

    def _leave_to_meet(self, waits: Iterable[Wait]) -> None:
        if any(wait.kind in _MET and wait.status == WaitStatus.OPEN for wait in waits):
            # Due now: what was there before a timeout passes is to be found before it.
            execution_id, now = self.execution.id, clock.now()
            self.chores.append(Chore(kind=ChoreKind.MEET, execution_id=execution_id, due_at=now))

    def _meet(self) -> None:
        """Look now for what a branch has begun to wait for: the others may run on for long."""
        others = [chore for chore in self.left if chore.kind != ChoreKind.MEET]
        if self.do_left is None or len(others) == len(self.left):
            return
        self.left = [chore for chore in self.left if chore.kind == ChoreKind.MEET]
        try:
            self.do_left()
        except StoreUnavailable as error:
            raise Stop(error) from error
        except Exception:
            # It is written that it is to be done, so a supervisor tries again.
            execution = self.execution
            extra = {"execution_id": execution.id, "workflow_id": execution.workflow_id}
            logger.exception(
                "What execution %s waits for could not be met", execution.id, extra=extra
            )
        finally:
            self.left += others

    def _reconnect(self) -> None:
        """Have the store look after its connection, where this thread has not used it for long."""
        if monotonic() - getattr(self.used, "at", 0.0) < IDLE:
            return
        try:
            self.store.refresh()
        except StoreUnavailable as error:
            raise Stop(error) from error

    def _written(self, after: Execution) -> None:
        self.used.at = monotonic()
        self.execution = after
        self.has_written = True
        self.left += self.chores
        self.entries, self.changed, self.chores = [], [], []
        self.tell()

    def tell(self) -> None:
        """Emit the staged events, in their order; those of pure steps need no checkpoint first."""
        with self.lock:
            events, self.events = self.events, []
        for event in events:
            self.emit(event)

    def atomically(
        self,
        work: Callable[[], T],
        accept: Callable[[T], Accepted],
        undo: Callable[[], object],
    ) -> Accepted:
        """
        Run ``work`` and the checkpoint of what ``accept`` makes of it in one transaction.

        The lock is held from there until after the commit, so that no other branch can build on
        what may yet be rolled back; then nothing of it stays in memory either, once ``undo`` has
        moved the scopes back to where they stood.
        """
        kept = None
        committed: list[bool] = []
        with ExitStack() as held:
            if not self.store.concurrent_writers:
                held.enter_context(self.lock)
            self._reconnect()
            try:
                with self.store.atomic():
                    self.store.on_commit(lambda: committed.append(True))
                    done = work()
                    held.enter_context(self.lock)
                    kept = self._kept()
                    accepted = accept(done)
                    after = self._write(**accepted.changes)
            except BaseException as error:
                if committed and isinstance(error, Exception):
                    logger.exception("What an atomic step left to be done on commit failed")
                else:
                    if kept is not None:
                        undo()
                        self._restore(kept)
                    if isinstance(error, StoreUnavailable):  # at its begin, or its commit
                        raise Stop(error) from error
                    raise
            self._written(after)
        return accepted

    def unless_lost(self, work: Callable[[], T]) -> T:
        """Return what ``work`` does. Raise Stop where the store went away under it."""
        try:
            return work()
        except Exception as error:
            if not self.store.lost_by(error):
                raise
            raise Stop(StoreUnavailable(type(self.store).__name__, describe(error))) from error

    def renew(self) -> None:
        """Renew the lease, or note that it is lost."""
        execution = self.execution
        if not self.store.renew(execution.id, execution.fence, self.limits.lease):
            self.is_lost = True

    def or_undone(self, write: Callable[[], T], undo: Callable[[], object]) -> T:
        """Return what ``write`` does; where it raises, nothing of it stays in memory."""
        with self.lock:
            kept = self._kept()
            try:
                return write()
            except Exception:
                undo()
                self._restore(kept)
                raise

    def give_back(self) -> None:
        """Give the lease back, with no claim counted, for another to drive on."""
        claims = 0 if self.has_written else max(0, self.execution.claims - 1)
        self.checkpoint(
            status=ExecutionStatus.PENDING, lease_owner=None, lease_expires_at=None, claims=claims
        )

    def refuse_to_go_on(self) -> None:
        """Raise Leave where this process is to stop, Late past the deadline, Stop if it is lost."""
        if self.is_lost:
            raise Stop(StaleExecution(self.execution.id, self.execution.fence))
        if self.stopping is not None and self.stopping():
            raise Leave
        deadline = self.deadline_at
        if deadline is not None and clock.now() > deadline:
            raise Late(
                WorkflowTimeout(
                    f"The workflow passed its deadline of {deadline:%Y-%m-%d %H:%M:%S %Z}."
                )
            )
