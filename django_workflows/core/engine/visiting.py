"""One visit to one step: attempts, timeouts, answers, on_error, and what the step is offered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from django_workflows.core import clock
from django_workflows.core.definition import HALT
from django_workflows.core.engine.accepting import accept, kept, set_here
from django_workflows.core.engine.children import drive_child
from django_workflows.core.engine.escaping import contained
from django_workflows.core.engine.failing import handle
from django_workflows.core.engine.fanning import Group
from django_workflows.core.engine.staging import Accepted
from django_workflows.core.engine.threads import OutOfTime
from django_workflows.core.execution import (
    ExecutionResult,
    HaltResult,
    State,
    StepOutcome,
)
from django_workflows.core.frames import Cursor, Frame, StepFrame
from django_workflows.core.steps.base import Step
from django_workflows.core.waits import Answer, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import StepTimeout

if TYPE_CHECKING:
    from django_workflows.core.definition import Graph
    from django_workflows.core.engine.walking import ScopeWalk


class StepRun:
    """One visit to one step: what it is offered (steps.base.Run), and all that happens to it."""

    def __init__(
        self, scope: ScopeWalk, graph: Graph, step: Step, cursor: Cursor, state: State
    ) -> None:
        self.walk = scope
        self.drive = scope.drive
        self.graph = graph
        self.step = step
        self.cursor = cursor
        self.state = state
        self.taken: Wait | None = None  # the wait whose answer led here
        self.answer: Answer | None = None
        self.resume_step: str | None = None
        self.given: Any = None
        self.began = time.monotonic()

    # What the step is offered -------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        """See Run.now."""
        return clock.now()

    @property
    def frame(self) -> Frame | None:
        """See Run.frame."""
        return self.cursor.frame

    @property
    def asked(self) -> Mapping[str, Any]:
        """See Run.asked."""
        return self.taken.data if self.taken is not None else {}

    @property
    def children(self) -> Group:
        """See Run.children."""
        return Group(self.walk.engine, self.drive, self.state)

    def note(self, given: Any) -> None:
        """See Run.note()."""
        self.given = kept(self, "input", given)

    def scope(
        self,
        prefix: str,
        place: Callable[[Cursor, State], Frame],
        *,
        names: Mapping[str, Any] | None = None,
        isolated: bool = False,
        stopped: Callable[[], bool] | None = None,
    ) -> ScopeWalk:
        """See Run.scope()."""

        def put(cursor: Cursor, state: State) -> None:
            with self.drive.lock:
                self.keep(place(cursor, state), None if isolated else state)

        below = f"{self.state.path}{prefix}"
        outer = {} if self.walk.is_root else set_here(self.graph, self.state.ctx)
        return self.walk.nested(
            below, put, names={**outer, **(names or {})}, isolated=isolated, stopped=stopped
        )

    def keep(self, frame: Frame | Callable[[], Frame], state: State | None = None) -> None:
        """See Run.keep()."""
        with self.drive.lock:
            self.cursor = replace(self.cursor, frame=frame() if callable(frame) else frame)
            if state is not None:
                self.state = replace(self.state, ctx=state.ctx)
            self.walk.put(self.cursor, self.state)

    def together(
        self, tasks: Mapping[str, Callable[[], object]], enough: Callable[[], bool]
    ) -> None:
        """See Run.together()."""
        self.drive.threads.together(tasks.values(), enough)

    def withdraw(self, prefix: str) -> None:
        """See Run.withdraw()."""
        self.drive.withdraw(f"{self.state.path}{prefix}")

    def child(
        self, workflow_id: str, given: Mapping[str, Any], timeout: float | None
    ) -> ExecutionResult | str:
        """See Run.child()."""
        self.note(dict(given))
        return drive_child(
            self.walk.engine,
            self.drive,
            self.state,
            workflow_id=workflow_id,
            given=given,
            timeout=timeout,
        )

    # What happens to it -------------------------------------------------------------------------

    def go(self) -> Accepted:
        """Bring the step to an outcome. Raise its error where nothing handles it."""
        waiting = self._take_answer()
        if waiting is not None:
            return Accepted(cursor=self.cursor, state=self.state, halt=waiting)
        self.drive.emit(self.drive.event("step.started", self.state.path, self.state.attempt))
        while True:
            self.began = time.monotonic()
            try:
                return self._attempt()
            except Exception as error:  # noqa: BLE001  whatever the author's code raises
                handled = handle(self, error)
                if handled is not None:
                    return handled

    def _take_answer(self) -> HaltResult | None:
        """Take the answer that came to this step's wait; return the halt while none has come."""
        if not (isinstance(self.cursor.frame, StepFrame) and self.cursor.frame.halted):
            return None
        wait = self.drive.waits.get(self.state.path)
        if wait is not None and wait.status == WaitStatus.OPEN:
            return HaltResult(data=wait.data, prompt=wait.prompt, kind=wait.kind)
        if wait is not None:
            self.taken = wait
            if wait.kind != WaitKind.RETRY:
                self.answer = wait.answer
                self.resume_step = wait.resume_step
        return None

    def close_taken(self) -> None:
        """Stage the end of the wait that was answered: with what came of it, so none is lost."""
        if self.taken is not None and self.taken.step in self.drive.waits:
            self.drive.close(self.taken, WaitStatus.TAKEN)

    def _attempt(self) -> Accepted:
        if self.step.atomic:
            undo = partial(self.walk.put, self.cursor, self.state)
            return self.drive.atomically(self.execute, partial(accept, self), undo)
        # Under one lock, so that another branch's checkpoint writes all of it, or nothing.
        undo = partial(self.walk.put, self.cursor, self.state)
        return self.drive.or_undone(partial(self._record, self.execute()), undo)

    def _record(self, outcome: StepOutcome) -> Accepted:
        accepted = accept(self, outcome)
        if self._is_due(accepted):
            self.drive.checkpoint(**accepted.changes)
        elif accepted.halt is None and not accepted.stopped:
            self.drive.tell()
        return accepted

    def _is_due(self, accepted: Accepted) -> bool:
        """Say whether to write a checkpoint now, rather than with a later step's."""
        if accepted.stopped:
            return False
        if accepted.halt is not None:
            # Other branches may run on for long; the answer to this one must not wait for them.
            return self.walk.isolated and not self.step.nested
        if accepted.changes:
            return True
        if self.step.pure or self.step.nested:
            return False
        # What is to be undone must be known to whoever comes after a crash.
        return self.drive.definition.durability != HALT or self.step.compensate is not None

    def execute(self) -> StepOutcome:
        """Execute the step within its timeout."""
        seconds = self.step.timeout
        own = partial(contained, self.step.name, partial(self.step.execute, self.state, self))
        work = partial(self.drive.unless_lost, own)
        if seconds is None:
            return work()
        is_bound = self.step.atomic or getattr(self.step, "is_async", False)
        if not is_bound and self.drive.threads.allowed():
            try:
                return self.drive.threads.within(work, seconds)
            except OutOfTime:
                raise StepTimeout(self.state.path, seconds) from None
        # Bound to this thread, and its transaction: what came too late is rolled back with it.
        outcome = work()
        if time.monotonic() - self.began > seconds:
            raise StepTimeout(self.state.path, seconds)
        return outcome
