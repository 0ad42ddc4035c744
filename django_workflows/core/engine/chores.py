"""How chores are done: by whoever wrote them, or by a supervisor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.engine.arriving import Awaken, deliver, meet
from django_workflows.core.engine.orphans import MOST_CHILDREN, cancel_orphans, unwanted
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.store import Store
from django_workflows.core.waits import WaitStatus


class Tell(Protocol):
    """Tells of an event of an execution, after it was written."""

    def __call__(self, name: str, execution: Execution, /, **data: Any) -> object: ...


@dataclass(frozen=True, slots=True)
class Chores:
    """
    Does chores of a store, each of them once more where that is asked twice.

    ``awaken`` gets what became pending by it, ``tell`` what happened. ``driven`` is the execution
    that whoever does them drives, as he holds it: what its steps left can be done meanwhile.
    """

    store: Store
    awaken: Awaken
    tell: Tell
    driven: Execution | None = None

    def do(self, chores: Iterable[Chore]) -> None:
        """Do ``chores`` and cross them off, and those that come of it."""
        chores = list(chores)
        needless = self._needless(chores)
        self.store.finish_chores(needless)
        for chore in chores:
            if chore.id not in needless and _KINDS[chore.kind](self, chore):
                self.store.finish_chore(chore.id)

    def _needless(self, chores: Sequence[Chore]) -> list[str]:
        """
        Return ids of those that ask to cancel the children of executions which have none.

        Asked for all at once: of ten thousand children that were cancelled, each leaves a chore.
        Who is to begin a child later would be refused, or is driven anew and wants it.
        """
        asked = {
            chore.id: chore.execution_id
            for chore in chores
            if chore.kind in _OF_CHILDREN and chore.execution_id is not None
        }
        parents = self.store.with_children([*asked.values()]) if asked else set()
        return [chore_id for chore_id, parent in asked.items() if parent not in parents]

    def wake(self, execution: Execution | None) -> None:
        """Awaken ``execution`` where it became pending."""
        if execution is not None and execution.status == ExecutionStatus.PENDING:
            self.awaken(execution)

    def told(self, execution: Execution, reason: str) -> None:
        """Tell that ``execution`` was cancelled."""
        self.tell("workflow.cancelled", execution, reason=reason)

    def cancel(self, children: Sequence[str], chore: Chore) -> None:
        """Cancel children, and what is below them, as ``chore`` says."""
        undo = self.wake if chore.kind == ChoreKind.UNDO_CHILDREN else None
        self.do(cancel_orphans(self.store, children, chore.reason, chore.by, self.told, undo=undo))


def take_below(left: list[Chore], execution_id: str, path: str) -> list[Chore]:
    """Take from ``left`` what is about children of the step at ``path``, or of one inside it."""
    inside = (f"{path}/", f"{path}[")

    def is_below(chore: Chore) -> bool:
        if chore.kind == ChoreKind.CANCEL:  # its target is a child, whom nobody wants in any case
            return True
        return chore.target == path or chore.target.startswith(inside)

    taken = [chore for chore in left if chore.execution_id == execution_id and is_below(chore)]
    for chore in taken:
        left.remove(chore)
    return taken


def _meet(chores: Chores, chore: Chore) -> bool:
    chores.wake(meet(chores.store, chore.execution_id or "", chores.awaken))
    return True


def _deliver(chores: Chores, chore: Chore) -> bool:
    for execution in deliver(chores.store, chore.target):
        chores.wake(execution)
    return True


def _cancel(chores: Chores, chore: Chore) -> bool:
    chores.cancel([chore.target], chore)
    return True


def _cancel_children(chores: Chores, chore: Chore) -> bool:
    """
    Cancel all of them, batch by batch, whoever does it.

    A supervisor goes on to the end too. It keeps no lease that could run out, but timers and other
    chores wait for it: some seconds for ten thousand, where the store decides them together. Left
    to the sweeps that follow, with a pause after each batch, some would begin that nobody wants.
    Where two do it at once, a child that one of them has ended is passed over by the other.
    """
    parent = chore.execution_id or ""
    driven = chores.driven if chores.driven and chores.driven.id == parent else None
    most, before = MOST_CHILDREN, set[str]()
    while (doomed := unwanted(chores.store, parent, chore.target, most, driven)) is not None:
        chores.cancel([child for child in doomed if child not in before], chore)
        if len(doomed) < most:
            return True
        # Those that are under way still must not take up the room of the next for ever.
        most = MOST_CHILDREN + len(before.intersection(doomed))
        before = set(doomed)
    return False


def _remind(chores: Chores, chore: Chore) -> bool:
    waits = chores.store.waits(chore.execution_id or "", status=WaitStatus.OPEN)
    for wait in waits:
        if wait.id == chore.target:
            execution = chores.store.load(wait.execution_id)
            chores.tell("workflow.reminded", execution, step=wait.step, wait_id=wait.id)
    return True


_OF_CHILDREN = {ChoreKind.CANCEL_CHILDREN, ChoreKind.UNDO_CHILDREN}

_KINDS: dict[ChoreKind, Callable[[Chores, Chore], bool]] = {
    ChoreKind.MEET: _meet,
    ChoreKind.DELIVER: _deliver,
    ChoreKind.CANCEL: _cancel,
    ChoreKind.CANCEL_CHILDREN: _cancel_children,
    ChoreKind.UNDO_CHILDREN: _cancel_children,
    ChoreKind.REMIND: _remind,
}
