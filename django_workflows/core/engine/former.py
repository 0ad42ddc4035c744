"""The children that a step began before it was run again: taken up, driven on, or given up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django_workflows.core import clock, codec, control
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change, Decide
from django_workflows.core.engine.driving import Drive
from django_workflows.core.engine.leaving import Stop
from django_workflows.core.engine.orphans import cancel_orphans
from django_workflows.core.execution import Entry, EntryAction, Execution, State
from django_workflows.core.store import LOST, Store
from django_workflows.core.undoing import undone
from django_workflows.core.waits import Wait
from django_workflows.exceptions import (
    ExecutionNotFound,
    InvalidTransition,
    StaleExecution,
)

if TYPE_CHECKING:
    from django_workflows.core.engine import Engine

#: What the entry of a child that its parent has driven on says of the parent's attempt.
ATTEMPT = "attempt_of_parent"

#: Chores among which one about a child is looked for.
MOST_CHORES = 1000

#: By then every chore that is written is due.
_LATER = timedelta(days=1)

_REPLACED = "its step is run again, by children of its own"

_HARMLESS = {ChoreKind.MEET, ChoreKind.DELIVER, ChoreKind.REMIND}


class Former:
    """
    The children that a step has from before.

    A child that was lost is driven on where it failed, under its own id, so that what its steps
    did is not done again under other idempotency keys: once for each attempt of the step. One
    that has undone something, or never began, is of no use any more.
    """

    def __init__(self, engine: Engine, drive: Drive, state: State) -> None:
        self.engine = engine
        self.store = engine.store
        self.drive = drive
        self.parent = drive.execution
        self.step = state.path
        self.attempt = f"{drive.cursor.retries}.{state.attempt}"
        self.driven_on: list[str] = []

    def is_wanted(self, child: Execution) -> bool:
        """
        Say whether to wait for a child that is under way.

        Not for one that is being undone, or that a chore which is not done yet may cancel.
        """
        return child.error is None and not self._may_be_cancelled(child.id)

    def usable(self, child_id: str) -> Execution | None:
        """Return a child as it is stored, or None where it is to be replaced."""
        child = self.store.load(child_id)
        if child.status not in LOST:
            return child
        if child.started_at is None or undone(self.store.entries(child_id)):
            return None
        return child

    def is_due(self, child: Execution) -> bool:
        """Say whether ``child`` was lost, and not driven on for this attempt of the step yet."""
        if child.status not in LOST:
            return False
        return not any(
            entry.action == EntryAction.RETRIED and _told(entry).get(ATTEMPT) == self.attempt
            for entry in self.store.entries(child.id)
        )

    def drive_on(self, own: Engine, child: Execution, timeout: float | None) -> None:
        """Make a lost child pending again where it failed; ``timeout`` is counted from now."""
        kind = ChoreKind.CANCEL
        for chore in [one for one in self._cancels if (one.kind, one.target) == (kind, child.id)]:
            self.store.finish_chore(chore.id)  # it has ended
        try:
            self.store.transition(child.id, self._again(own, child, timeout))
        except InvalidTransition:
            return  # another hand was quicker
        self.driven_on.append(child.id)

    def all(self) -> list[Execution]:
        """Return all children of the step, the oldest first; read one by one, so for a few."""
        found = [
            self.store.load(child.id) for child in self.store.children(self.parent.id, self.step)
        ]
        return sorted(found, key=lambda child: (child.created_at, child.id))

    def taken(self, own: Engine, child: Execution, timeout: float | None) -> str | None:
        """Return the id of ``child``, driven on where that is due; None where it is of no use."""
        if not child.status.is_final:
            return child.id if self.is_wanted(child) else None
        kept = self.usable(child.id)
        if kept is not None and self.is_due(kept):
            self.drive_on(own, kept, timeout)
        return None if kept is None else kept.id

    def end(self, child: Execution) -> None:
        """Cancel a child that is under way and wanted no more; one that is being undone goes on."""
        if not child.status.is_final and child.error is None:
            self.drive.left += cancel_orphans(self.store, [child.id], _REPLACED, None, self._tell)

    def write(self, children: Sequence[Execution]) -> list[Execution]:
        """
        Write those that are not there yet, return all as stored.

        Raise Stop where this is the execution's driver no more: then nobody would look after them.
        """
        try:
            return self.store.create_children(self.parent.id, self.parent.fence, children)
        except StaleExecution as error:
            self._give_up()
            raise Stop(error) from error

    def _give_up(self) -> None:
        """Cancel what was driven on for a parent that had ended by then."""
        with suppress(ExecutionNotFound):  # it was deleted, and they with it
            is_over = self.store.load(self.parent.id).status.is_final
            doomed = self.driven_on if is_over else []
            cancel_orphans(self.store, doomed, _REPLACED, None, self._tell)

    def _again(self, own: Engine, child: Execution, timeout: float | None) -> Decide:
        retry = control.retry(own.definition, from_step=None, input=None, by=None, history=())

        def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
            if execution.fence != child.fence:  # it was driven since its history was read
                raise InvalidTransition(execution.id, execution.status, "retry", "as it was")
            change = retry(execution, waits)
            again = change.execution
            if timeout is not None:
                until = clock.now() + timedelta(seconds=timeout)
                again = replace(again, deadline_at=min(until, again.deadline_at or until))
            entries = [
                replace(entry, output={**_told(entry), ATTEMPT: self.attempt})
                for entry in change.entries
            ]
            return replace(change, execution=again, entries=entries)

        return decide

    def _may_be_cancelled(self, child_id: str) -> bool:
        return len(self._cancels) >= MOST_CHORES or any(
            chore.target == child_id
            if chore.kind == ChoreKind.CANCEL
            else chore.execution_id == self.parent.id and chore.target in {"", self.step}
            for chore in self._cancels
        )

    @cached_property
    def _cancels(self) -> list[Chore]:
        """The chores that cancel something, not done yet; others too, where they are too many."""
        chores = self.store.chores(clock.now() + _LATER, MOST_CHORES)
        if len(chores) >= MOST_CHORES:
            return chores
        return [chore for chore in chores if chore.kind not in _HARMLESS]

    def _tell(self, child: Execution, reason: str) -> None:
        self.engine.tell("workflow.cancelled", child, reason=reason)


def begun_with(store: Store, child: Execution) -> Mapping[str, Any]:
    """Return the input that a child was begun with: somebody may have given it another since."""
    for entry in store.entries(child.id):
        if entry.action == EntryAction.RETRIED and "input_before" in _told(entry):
            given: Mapping[str, Any] = _told(entry)["input_before"]
            return given
    return child.input


def as_text(value: Any) -> str:
    """Return a text that two values share only where they are the same: True is not 1."""
    return json.dumps(codec.encode(value), sort_keys=True)


def _told(entry: Entry) -> Mapping[str, Any]:
    return entry.output if isinstance(entry.output, Mapping) else {}
