"""What becomes of a group of children when the step that began them is run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from django_workflows.core.decisions import Change
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.store import LOST

if TYPE_CHECKING:
    from django_workflows.core.engine import Engine
    from django_workflows.core.engine.fanning import Group

#: Digits at the end of a child's id that tell what it is about: the last group of a UUID.
ABOUT = 12


class Again:
    """
    Sorts the children from before into those that are of use and those that are not.

    Of use is one about the same that has completed, is under way, or can be driven on where it
    failed. ``wanted`` are the children that a first run would begin.
    """

    def __init__(
        self,
        group: Group,
        engines: Mapping[str, Engine],
        wanted: Sequence[Execution],
        timeout: float | None,
    ) -> None:
        self.group = group
        self.former = group.former
        self.engines = engines
        self.wanted = {child.item: child for child in wanted}
        self.timeout = timeout
        self.rung: list[Execution] = []  # there already, and to be driven
        self.gone: list[Execution] = []  # lost, and of no use
        self.has_others = False  # that are kept without having completed
        self.later: int | None = None

    def sort(self, concurrency: int | None, since: int) -> tuple[list[Execution], int | None]:
        """
        Return the children to be written or rung for, and the first item whose turn is later.

        Those lost before ``since`` have had theirs in this attempt.
        """
        found = self.group.all()
        live = sum(not child.status.is_final for child in found)
        turns = len(found) if concurrency is None else concurrency - live
        for child in found:
            wanted = self.wanted.get(child.item)
            kept = wanted and self._kept(child, wanted, since)
            if wanted is None or kept is None:
                self._forget(child)
                continue
            del self.wanted[child.item]
            self.has_others |= child.status != ExecutionStatus.COMPLETED
            is_due = kept.status in LOST and self._has_turn(kept, wanted, since)
            if is_due and turns <= 0:
                self.later = child.item if self.later is None else self.later
            elif is_due:
                turns -= 1
                self.former.drive_on(self.engines[kept.workflow_id], kept, self.timeout)
            if kept.status == ExecutionStatus.PENDING or (is_due and self.later is None):
                self.rung.append(replace(wanted, id=child.id))
        self._unlink()
        return [*self.rung, *self.wanted.values()], self.later

    def _kept(self, child: Execution, wanted: Execution, since: int) -> Execution | None:
        """Return ``child`` where it is of use."""
        if child.id[:-ABOUT] == wanted.id[:-ABOUT]:
            return child  # of this attempt, from before a crash
        if child.id[-ABOUT:] != wanted.id[-ABOUT:] or child.workflow_id != wanted.workflow_id:
            return None
        if child.status == ExecutionStatus.COMPLETED or self._had_turn(child, since):
            return child
        if child.status in LOST:
            return self.former.usable(child.id)
        is_awaited = self._is_of_run(child) or self.former.is_wanted(child)
        return child if is_awaited else None

    def _has_turn(self, child: Execution, wanted: Execution, since: int) -> bool:
        """Say whether a lost child is to be driven on, now or later."""
        is_own = child.id[:-ABOUT] == wanted.id[:-ABOUT]
        return not is_own and not self._had_turn(child, since) and self.former.is_due(child)

    def _had_turn(self, child: Execution, since: int) -> bool:
        return child.status in LOST and (child.item or 0) < since

    def _is_of_run(self, child: Execution) -> bool:
        """Say whether an earlier attempt of this very run began it."""
        before = range(1, self.group.state.attempt)
        return child.id[:-ABOUT] in {self.group.stem(child.item, attempt) for attempt in before}

    def _forget(self, child: Execution) -> None:
        if child.status in LOST:
            self.gone.append(child)
            return
        self.former.end(child)
        self._link_nowhere(child)

    def _unlink(self) -> None:
        if self.gone and not self.has_others:  # one that is kept could be lost by now
            self.group.store.supersede(self.group.parent.id, self.group.step)
            return
        for child in self.gone:
            self._link_nowhere(child)

    def _link_nowhere(self, child: Execution) -> None:
        self.group.store.transition(
            child.id, lambda stored, _: Change(execution=replace(stored, parent_step=None))
        )
