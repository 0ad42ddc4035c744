"""End executions that are under way, and the children of what has ended or is wanted no more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from django_workflows.core.chores import Chore
from django_workflows.core.control import cancel
from django_workflows.core.decisions import Change, Decide
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.store import Store
from django_workflows.core.waits import Wait, WaitKind, WaitStatus

#: How many children are read at one go; the next go takes the next.
MOST_CHILDREN = 200

#: Which children are ended first: what works does harm, what waits for its turn does none.
_URGENCY = (ExecutionStatus.RUNNING, ExecutionStatus.PENDING, ExecutionStatus.HALTED)

#: How they are read: the way they go themselves, and some of it twice, so that none slips through
#: by moving on between one query and the next.
_ROUND = (
    *(ExecutionStatus.HALTED, ExecutionStatus.PENDING, ExecutionStatus.RUNNING),
    *(ExecutionStatus.HALTED, ExecutionStatus.PENDING),
)

#: Gets the cancelled execution and the reason.
Tell = Callable[[Execution, str], object]


def end(
    store: Store,
    execution_id: str,
    reason: str,
    by: str | None,
    tell: Tell,
    *,
    compensate: bool = False,
    expected_revision: str | None = None,
) -> tuple[Execution, Sequence[Chore]]:
    """
    Cancel an execution; return it and the chores that this leaves: its children, its parent.

    With ``compensate`` it may be pending then, to be undone first.

    Raise ExecutionNotFound, or InvalidTransition where it has ended or is of another revision.
    """
    verb = _Remembered(
        cancel(reason, by, compensate=compensate, expected_revision=expected_revision)
    )
    cancelled = store.transition(execution_id, verb)
    if cancelled.status.is_final:
        tell(cancelled, reason)
    return cancelled, verb.chores[cancelled.id]


def cancel_orphans(
    store: Store,
    children: Sequence[str],
    reason: str,
    by: str | None,
    tell: Tell,
    *,
    undo: Callable[[Execution], object] | None = None,
) -> list[Chore]:
    """
    Cancel children where they have not ended meanwhile; return the chores that this leaves.

    ``undo``, where given, gets each child that has to be driven to undo what it did.
    """
    # Their parent is not told: that is where the order comes from.
    verb = _Remembered(cancel(reason, by, tells_parent=False, compensate=undo is not None))
    left: list[Chore] = []
    for cancelled in store.transition_all(children, verb):
        if cancelled.status.is_final:
            tell(cancelled, reason)
        if undo is not None:
            undo(cancelled)
        left += verb.chores[cancelled.id]
    return left


class _Remembered:
    """A decision that keeps the chores of each change; asked anew, of the last."""

    def __init__(self, decide: Decide) -> None:
        self._decide = decide
        self.chores: dict[str, Sequence[Chore]] = {}

    def __call__(self, execution: Execution, waits: Sequence[Wait]) -> Change:
        change = self._decide(execution, waits)
        self.chores[execution.id] = change.chores
        return change


def unwanted(
    store: Store, parent: str, step: str, most: int, driven: Execution | None = None
) -> list[str] | None:
    """
    Return ids of children under way that nobody waits for: of one step, or of all where empty.

    At most ``most``, those that run before those that have yet to begin. Return None where it
    cannot be told yet: the parent is driven, and may be about to wait for them. ``driven`` is the
    parent as its driver holds it, where that is who asks: of a step that it names it knows.
    """
    # Before the parent is read: a child that comes after it may be wanted.
    found = _under_way(store, parent, step, most)
    execution = store.load(parent) if found else None
    if execution is None or execution.status.is_final or execution.error is not None:
        return found
    if execution.status == ExecutionStatus.RUNNING:
        return found if step and driven is not None and driven.fence == execution.fence else None
    waits = store.waits(parent, status=WaitStatus.OPEN)
    wanted = {wait.step for wait in waits if wait.kind == WaitKind.CHILD}
    if not wanted:
        return found
    # Left out by the store: where thousands are wanted, the first of all may be none of the others.
    found = _under_way(store, parent, step, most, wanted)
    # Only a claim, which raises the fence, lets it start children, or wait for others.
    return found if store.load(parent).fence == execution.fence else None


def _under_way(
    store: Store, parent: str, step: str, most: int, except_steps: Collection[str] = ()
) -> list[str]:
    found: dict[str, ExecutionStatus] = {}
    for status in _ROUND:
        ids = store.execution_ids(
            parent=parent,
            parent_step=step or None,
            status=status,
            limit=most,
            except_steps=except_steps,
        )
        found.update(dict.fromkeys(ids, status))
    return sorted(found, key=lambda child: _URGENCY.index(found[child]))[:most]
