"""One driver's hold on one execution: what is in memory, what is staged, and the checkpoints."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar

from django_workflows.core import clock
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import (
    Compensation,
    Entry,
    Event,
    Execution,
    ExecutionStatus,
    HaltResult,
    State,
)
from django_workflows.core.frames import Cursor
from django_workflows.core.store import Store, without_closed
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import StaleExecution, StoreUnavailable, WorkflowTimeout

if TYPE_CHECKING:
    from django_workflows.core.definition import WorkflowDefinition

T = TypeVar("T")

logger = logging.getLogger("django_workflows")

#: Pure steps write nothing, so a circle of them must not gather entries for ever.
MOST_STAGED = 500


class Stop(BaseException):
    """
    Carries what must end the drive at once, past every handler of the author's errors.

    Such as a stale fence, or a store that does not answer.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds within which an engine works."""

    lease: timedelta = timedelta(seconds=60)
    payload_bytes: int = 1_048_576
    visits: int = 10_000  # to one step on a cycle, in one execution
    depth: int = 20  # of children within children
    claims: int = 5  # in a row without a finished step


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a step: where its scope stands, or that it halts."""

    cursor: Cursor
    state: State
    halt: HaltResult | None = None
    stopped: bool = False  # see ContinueResult.stopped
    changes: Mapping[str, Any] = field(default_factory=dict)  # for the checkpoint


class Drive:
    """
    Drives one claimed execution.

    What steps do is staged here, and checkpoint() writes it as one. ``lock`` guards all of it:
    branches run in threads, and their checkpoints write the same row one after another.
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
    ) -> None:
        self.execution = execution  # as it is stored
        self.definition = definition
        self.store = store
        self.emit = emit
        self.limits = limits
        self.threads = threads
        self.cursor: Cursor = execution.frames
        self.ctx: Mapping[str, Any] = execution.ctx
        self.compensations = execution.compensations
        self.entries: list[Entry] = []
        self.changed: list[Wait] = []
        self.events: list[Event] = []
        self.orphans: list[str] = []  # children that nobody waits for any more
        self.waits = {wait.step: wait for wait in waits if wait.status in _PENDING_WAITS}
        self.lock = RLock()

    # State --------------------------------------------------------------------------------------

    def state(self) -> State:
        """Return the state at the root, as steps will see it."""
        execution = self.execution
        return State(
            execution_id=execution.id,
            workflow_id=execution.workflow_id,
            workflow_version=execution.workflow_version,
            input=execution.input,
            ctx=self.ctx,
            origin=execution,
            reader=self.history,
        )

    def put(self, cursor: Cursor, state: State) -> None:
        """Move to ``cursor`` in the root scope, in memory only."""
        self.cursor = cursor
        self.ctx = state.ctx

    def history(self) -> list[Entry]:
        """Return the entries, written and staged."""
        with self.lock:
            return [*self.store.entries(self.execution.id), *self.entries]

    # Staging ------------------------------------------------------------------------------------

    def log(self, entry: Entry, event: str, **data: Any) -> None:
        """Stage an entry, and the event of the same transition."""
        with self.lock:
            self.entries.append(entry)
            self.events.append(self.event(event, entry.step_id, **data))

    def event(self, name: str, step: str | None = None, **data: Any) -> Event:
        """Return an event of this execution."""
        return Event(
            name=name,
            execution_id=self.execution.id,
            workflow_id=self.execution.workflow_id,
            step=step,
            data=data,
        )

    def open(self, wait: Wait) -> None:
        """Stage a wait."""
        with self.lock:
            self.waits[wait.step] = wait
            self.changed.append(wait)

    def close(self, wait: Wait, status: WaitStatus) -> None:
        """Stage the end of a wait."""
        with self.lock:
            self.waits.pop(wait.step, None)
            self.changed.append(replace(wait, status=status))
            if status == WaitStatus.WITHDRAWN and wait.kind == WaitKind.CHILD and wait.key:
                self.orphans.append(wait.key)

    def take_delay(self) -> None:
        """Stage the end of the timer before which the execution was not to begin."""
        for wait in [wait for wait in self.waits.values() if wait.status == WaitStatus.SETTLED]:
            self.close(wait, WaitStatus.TAKEN)

    def withdraw(self, prefix: str) -> None:
        """Stage the end of every wait whose path starts with ``prefix``."""
        with self.lock:
            for wait in [wait for wait in self.waits.values() if wait.step.startswith(prefix)]:
                self.close(wait, WaitStatus.WITHDRAWN)

    def compensate_with(self, compensation: Compensation) -> None:
        """Remember how to undo a step that completed."""
        with self.lock:
            self.compensations = (*self.compensations, compensation)

    # Writing ------------------------------------------------------------------------------------

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
            "lease_expires_at": now + self.limits.lease,
            "claims": 0,
            **changes,
        }
        return replace(self.execution, **values)

    def checkpoint(self, **changes: Any) -> None:
        """Write what is staged. Raise Stop where that is refused, with nothing written."""
        with self.lock:
            after = self._write(**changes)
            self._written(after)

    def suspend(self, event: Event, **changes: Any) -> None:
        """Write what is staged as a halt; where an answer came meanwhile, it goes on running."""
        with self.lock:
            after = self.snapshot(**changes)
            waits = without_closed(self.changed)
            try:
                stored = self.store.suspend(after, self.entries, after.fence, waits)
            except Exception as error:
                raise Stop(error) from error
            if stored.status == ExecutionStatus.HALTED:
                self.events.append(event)
            self._written(stored)

    def _write(self, **changes: Any) -> Execution:
        after = self.snapshot(**changes)
        waits = without_closed(self.changed)
        try:
            self.store.checkpoint(
                after, self.entries, self.execution.fence, waits, previous=self.execution
            )
        except (StaleExecution, StoreUnavailable) as error:
            raise Stop(error) from error
        return after

    def _written(self, after: Execution) -> None:
        self.execution = after
        self.entries, self.changed = [], []
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
                    raise
            self._written(after)
        return accepted

    def _kept(self) -> tuple[Any, ...]:
        """Return what is staged and where the scopes stand, for _restore()."""
        places = (self.cursor, self.ctx, self.compensations, dict(self.waits))
        staged = (list(self.entries), list(self.changed), list(self.events), list(self.orphans))
        return places + staged

    def _restore(self, kept: tuple[Any, ...]) -> None:
        self.cursor, self.ctx, self.compensations, self.waits = kept[:4]
        self.entries, self.changed, self.events, self.orphans = kept[4:]

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

    def complete(self, result: Any) -> dict[str, Any]:
        """Stage the end, and return the changes that a checkpoint must write for it."""
        self.withdraw("")
        self.events.append(self.event("workflow.completed", result=result))
        return {"status": ExecutionStatus.COMPLETED, "result": result, **self.released()}

    def released(self) -> dict[str, Any]:
        """Return the changes that end the lease and the run."""
        return {"lease_owner": None, "lease_expires_at": None, "finished_at": clock.now()}

    def refuse_late(self) -> None:
        """Raise Late where the deadline of the workflow has passed."""
        deadline = self.execution.deadline_at
        if deadline is not None and clock.now() > deadline:
            raise Late(
                WorkflowTimeout(
                    f"The workflow passed its deadline of {deadline:%Y-%m-%d %H:%M:%S %Z}."
                )
            )


class Late(Stop):
    """The deadline has passed: no on_error is asked, the execution fails."""


_PENDING_WAITS = {WaitStatus.OPEN, WaitStatus.SETTLED}
