"""What a driver has in memory: where the root scope stands, and what is yet to be written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from threading import RLock
from typing import Any

from django_workflows.core import clock
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import (
    Compensation,
    Entry,
    Event,
    Execution,
    ExecutionStatus,
    HaltResult,
    State,
)
from django_workflows.core.frames import Cursor, StepFrame
from django_workflows.core.store import Store
from django_workflows.core.waits import Wait, WaitKind, WaitStatus

#: What a child's first frame says of how long it may take, counted from its beginning: it may have
#: to wait for its turn first.
TIMEOUT = "timeout"

#: Pure steps write nothing, so a circle of them must not gather entries for ever.
MOST_STAGED = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a step: where its scope stands, or that it halts."""

    cursor: Cursor
    state: State
    halt: HaltResult | None = None
    stopped: bool = False  # see ContinueResult.stopped
    changes: Mapping[str, Any] = field(default_factory=dict)  # for the checkpoint


_PENDING_WAITS = {WaitStatus.OPEN, WaitStatus.SETTLED}


class Staging:
    """
    What is in memory of one claimed execution.

    Each method stages something, and a checkpoint writes all of it. ``lock`` guards it: branches
    run in threads.
    """

    def __init__(
        self,
        execution: Execution,
        definition: WorkflowDefinition,
        store: Store,
        waits: Sequence[Wait],
    ) -> None:
        self.execution = execution  # as it is stored
        self.definition = definition
        self.store = store
        self.cursor: Cursor = execution.frames
        self.ctx: Mapping[str, Any] = execution.ctx
        self.deadline_at = execution.deadline_at
        self.compensations = execution.compensations
        self.waits = {wait.step: wait for wait in waits if wait.status in _PENDING_WAITS}
        self.entries: list[Entry] = []
        self.changed: list[Wait] = []
        self.events: list[Event] = []
        self.chores: list[Chore] = []
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
            self.events.append(self.event(event, entry.step_id, entry.attempt, **data))

    def event(
        self, name: str, step: str | None = None, attempt: int | None = None, /, **data: Any
    ) -> Event:
        """Return an event of this execution."""
        return Event(
            name=name,
            execution_id=self.execution.id,
            workflow_id=self.execution.workflow_id,
            step=step,
            attempt=attempt,
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
            if status != WaitStatus.WITHDRAWN or wait.kind != WaitKind.CHILD:
                return
            if wait.key:
                self.leave(ChoreKind.CANCEL, wait.key)
            else:
                self.leave(ChoreKind.CANCEL_CHILDREN, wait.step)

    def leave(self, kind: ChoreKind, target: str = "") -> None:
        """Stage a chore about the children of this execution."""
        execution_id = self.execution.id
        reason = f"{execution_id} waits for it no more"
        self.chores.append(
            Chore(kind=kind, execution_id=execution_id, target=target, reason=reason)
        )

    def begin(self) -> None:
        """Stage the end of the timer before which it was not to begin; start its own clock."""
        frame = self.cursor.frame
        if isinstance(frame, StepFrame) and TIMEOUT in frame.data:
            self.deadline_at = clock.now() + frame.data[TIMEOUT]
        for wait in [wait for wait in self.waits.values() if wait.status == WaitStatus.SETTLED]:
            self.close(wait, WaitStatus.TAKEN)

    def withdraw(self, prefix: str) -> None:
        """Stage the end of every wait whose path starts with ``prefix``."""
        with self.lock:
            for wait in [wait for wait in self.waits.values() if wait.step.startswith(prefix)]:
                self.close(wait, WaitStatus.WITHDRAWN)

    def let_go(self) -> None:
        """Stage the end of every wait, and of the children that nobody will look after."""
        self.withdraw("")
        # A driver before this one may have died between a child and the wait for it.
        is_second = self.execution.fence > 1 and self.definition.has_children
        if is_second or self.definition.fans_out:
            self.leave(ChoreKind.CANCEL_CHILDREN)

    def compensate_with(self, compensation: Compensation) -> None:
        """Remember how to undo a step that completed."""
        with self.lock:
            self.compensations = (*self.compensations, compensation)

    def complete(self, result: Any) -> dict[str, Any]:
        """Stage the end, and return the changes that a checkpoint must write for it."""
        self.let_go()
        self.events.append(self.event("workflow.completed", result=result))
        return {"status": ExecutionStatus.COMPLETED, "result": result, **self.released()}

    def released(self) -> dict[str, Any]:
        """Return the changes that end the lease and the run."""
        return {"lease_owner": None, "lease_expires_at": None, "finished_at": clock.now()}

    def _kept(self) -> tuple[Any, ...]:
        """Return what is staged and where the scopes stand, for _restore()."""
        places = (self.cursor, self.ctx, self.compensations, dict(self.waits))
        staged = (list(self.entries), list(self.changed), list(self.events), list(self.chores))
        return places + staged

    def _restore(self, kept: tuple[Any, ...]) -> None:
        self.cursor, self.ctx, self.compensations, self.waits = kept[:4]
        self.entries, self.changed, self.events, self.chores = kept[4:]
