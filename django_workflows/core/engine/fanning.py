"""How a step starts a group of children: one for each item or branch, driven wherever it may be."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django_workflows.core import clock
from django_workflows.core.chores import ChoreKind
from django_workflows.core.engine.children import inherited, refuse_depth
from django_workflows.core.engine.driving import Drive
from django_workflows.core.engine.former import Former, as_text
from django_workflows.core.engine.rerun import ABOUT, Again
from django_workflows.core.engine.staging import TIMEOUT
from django_workflows.core.execution import Execution, ExecutionStatus, State
from django_workflows.core.frames import Cursor, StepFrame
from django_workflows.core.ids import derived_id
from django_workflows.core.steps.groups import Planned
from django_workflows.core.store import LOST
from django_workflows.exceptions import InputError, describe

if TYPE_CHECKING:
    from django_workflows.core.engine import Engine

#: Children that are written in one transaction, under their parent's lock.
BATCH = 500

#: At the end of the id of a child whose input does not fit: there may be no text for that.
_MISFIT = "0" * ABOUT


class Group:
    """The children of one step; see steps.groups.Children."""

    def __init__(self, engine: Engine, drive: Drive, state: State) -> None:
        self.engine = engine
        self.store = engine.store
        self.drive = drive
        self.state = state
        self.parent = drive.execution
        self.step = state.path
        self.former = Former(engine, drive, state)

    def start(
        self,
        planned: Sequence[Planned],
        *,
        concurrency: int | None = None,
        timeout: float | None = None,
        keeps_misfits: bool = False,
        since: int = 0,
    ) -> int | None:
        """See Children.start()."""
        self.drive.before_children()
        refuse_depth(self.engine, self.parent)
        engines = {name: self.engine.sibling(name) for name in {one.workflow_id for one in planned}}
        # All are made before the first is written, so that what is refused leaves nothing behind.
        children = [
            self._child(engines[one.workflow_id], one, timeout, keeps_misfits=keeps_misfits)
            for one in planned
        ]
        free, later = len(children) if concurrency is None else concurrency, None
        if self.tally():  # it was attempted before, or a driver died over it
            again = Again(self, engines, children, timeout)
            children, later = again.sort(concurrency, since)
            if concurrency is not None:
                free = 0  # some may be under way still: who is next is asked after the halt
        children = children[:free] + [_held(child) for child in children[free:]]
        for first in range(0, len(children), BATCH):
            for child in self.former.write(children[first : first + BATCH]):
                if child.status == ExecutionStatus.PENDING:
                    self.engine.awaken(child)
        return later

    def tally(self) -> Mapping[ExecutionStatus, int]:
        """See Children.tally()."""
        return self.store.tally(self.parent.id, self.step)

    def all(self) -> Sequence[Execution]:
        """See Children.all()."""
        return self.store.children(self.parent.id, self.step)

    def lost(self, most: int) -> Sequence[Execution]:
        """See Children.lost()."""
        ids = [
            name
            for status in sorted(LOST, reverse=True)  # of the cancelled there may be many
            for name in self.store.execution_ids(
                parent=self.parent.id, parent_step=self.step, status=status, limit=most
            )
        ]
        return sorted(map(self.store.load, ids[:most]), key=lambda child: child.item or 0)

    def let_go(self) -> None:
        """See Children.let_go()."""
        with self.drive.lock:
            self.drive.leave(ChoreKind.CANCEL_CHILDREN, self.step)

    # New ones -----------------------------------------------------------------------------------

    def _child(
        self, own: Engine, planned: Planned, timeout: float | None, *, keeps_misfits: bool
    ) -> Execution:
        fields = {**inherited(self.parent, self.step), "item": planned.item}
        try:
            if planned.ctx is None:
                child = own.new(planned.input, None, **fields)
            else:  # its steps see what those around them see
                self._refuse_long(planned.about, own.definition.id)
                child = replace(
                    own.new(None, None, **fields),
                    input=planned.input,
                    ctx=planned.ctx,
                    subject=self.parent.subject,
                )
        except InputError as error:
            if not keeps_misfits:
                errors = {f"[{planned.item}].{key}": text for key, text in error.errors.items()}
                raise InputError(error.workflow_id, errors) from error
            return replace(_misfit(own, error, fields), id=self.stem(planned.item) + _MISFIT)
        given = planned.input if planned.told is None else planned.told
        about = f"{planned.workflow_id} {as_text([planned.about, given])}"
        # The same after a crash, and another for another attempt, another item or another input.
        digest = hashlib.sha256(about.encode()).hexdigest()[:ABOUT]
        child = replace(child, id=self.stem(planned.item) + digest)
        return _bounded(child, timeout, own.definition.timeout)

    def _refuse_long(self, about: Any, workflow_id: str) -> None:
        limit, length = self.drive.limits.payload_bytes, len(as_text(about))
        if length > limit:
            problem = f"{length:,} bytes are more than MAX_PAYLOAD_BYTES ({limit:,}) allows"
            raise InputError(workflow_id, {"item": problem})

    def stem(self, item: int | None, attempt: int | None = None) -> str:
        """Return how the ids of the children for ``item`` begin in an attempt, in this one."""
        numbers = (item, attempt or self.state.attempt, self.drive.cursor.retries)
        return derived_id(self.parent.id, self.step, "item", *map(str, numbers))[:-ABOUT]


def _misfit(own: Engine, error: InputError, fields: Mapping[str, Any]) -> Execution:
    """Return a child that has failed before it began: its input does not fit."""
    return Execution(
        workflow_id=own.definition.id,
        workflow_version=own.definition.version,
        status=ExecutionStatus.FAILED,
        error=describe(error),
        finished_at=clock.now(),
        current_step=own.definition.graph.first,
        **fields,
    )


def _held(child: Execution) -> Execution:
    """Return a child whose turn has not come; see Store.release_held()."""
    if child.status != ExecutionStatus.PENDING:
        return child
    return replace(child, status=ExecutionStatus.HALTED, halt_data={"turn": child.item})


def _bounded(child: Execution, timeout: float | None, own: timedelta | None) -> Execution:
    """Return a child whose time is counted from its beginning; see Drive.begin()."""
    given = None if timeout is None else timedelta(seconds=timeout)
    bounds = [bound for bound in (given, own) if bound is not None]
    if not bounds:
        return child
    frame = StepFrame(data={TIMEOUT: min(bounds)})
    return replace(child, deadline_at=None, frames=Cursor(frame=frame))
