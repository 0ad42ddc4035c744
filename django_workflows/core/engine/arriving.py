"""How a wait and what it waits for find each other: an event that was sent, a child that ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

from django_workflows.core.decisions import take
from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.store import Store
from django_workflows.core.waits import Answer, Cause, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import EventTaken, ExecutionNotFound, NotResumable

Awaken = Callable[[Execution], object]

#: Children that a refusal names.
MOST_NAMED = 5


def meet(store: Store, execution_id: str, awaken: Awaken) -> Execution | None:
    """
    Give an execution the events and ended children that it waits for.

    Return it as it then stands, None where nothing was given. ``awaken`` gets what else became
    pending: children whose turn has come, and who waited longer for an event whose sender died.

    Asked after the halt is committed, and after a child's end is: sender and waiter each look for
    the other after their own commit, so one of them always sees.
    """
    given = None
    for wait in store.waits(execution_id, status=WaitStatus.OPEN):
        if wait.kind == WaitKind.EVENT and store.next_event(wait.key or "") is not None:
            # To whom has waited longest, and that may be another.
            for execution in deliver(store, wait.key or ""):
                if execution.id == execution_id:
                    given = execution
                elif execution.status == ExecutionStatus.PENDING:
                    awaken(execution)
        elif wait.kind == WaitKind.CHILD:
            given = _join(store, wait, awaken) or given
    return given


def deliver(store: Store, topic: str) -> list[Execution]:
    """Give the events of ``topic`` to the oldest waits that ask for it; return who got one."""
    woken: list[Execution] = []
    for wait in store.find_waits(kind=WaitKind.EVENT, key=topic):
        if store.next_event(topic) is None:
            break
        execution = _take_event(store, wait)
        if execution is not None:
            woken.append(execution)
    return woken


def _take_event(store: Store, wait: Wait) -> Execution | None:
    while (event := store.next_event(wait.key or "")) is not None:
        try:
            return store.transition(wait.execution_id, take(wait.id, event))
        except EventTaken:
            continue  # by another wait; there may be a next one
        except (NotResumable, ExecutionNotFound):
            return None  # the wait is open no more
    return None


def _join(store: Store, wait: Wait, awaken: Awaken) -> Execution | None:
    """Settle a wait for children where there is nothing more to wait for; else start the next."""
    if not has_joined(store, wait):
        most = wait.data.get("concurrency")
        if most is not None:
            for child in store.release_held(wait.execution_id, wait.step, most):
                awaken(child)
        return None
    with suppress(NotResumable, ExecutionNotFound):  # it was settled, or is wanted no more
        return store.settle(wait.execution_id, wait.id, Answer(cause=Cause.CHILD))
    return None


def has_joined(store: Store, wait: Wait) -> bool:
    """
    Say whether the children that ``wait`` is for have ended, or enough of them.

    A wait for one has its id as key. One for the children of its step has none; its data says of
    how many in ``total`` how many are ``needed`` to complete (None: each may end as it likes).
    """
    if wait.key is not None:
        return _has_ended(store, wait.key)
    state = store.children_state(wait.execution_id, wait.step)
    needed: int | None = wait.data.get("needed")
    total: int = wait.data["total"]
    if not state.live:
        return True
    if needed is None or needed == total:
        return needed is not None and state.lost
    tally = store.tally(wait.execution_id, wait.step)
    lost = tally.get(ExecutionStatus.FAILED, 0) + tally.get(ExecutionStatus.CANCELLED, 0)
    return tally.get(ExecutionStatus.COMPLETED, 0) >= needed or total - lost < needed


def _has_ended(store: Store, child: str) -> bool:
    try:
        return store.load(child).status in FINAL_STATUSES
    except ExecutionNotFound:
        return True  # deleted by hand: the step that waits for it starts it anew


def refuse_group(store: Store, waits: Sequence[Wait], step: str | None) -> None:
    """Raise NotResumable where an answer for ``step`` is meant for a group of children."""
    for wait in waits:
        if wait.kind != WaitKind.CHILD or wait.key is not None or not _is_meant(wait, waits, step):
            continue
        asking = list(islice(_asking(store, wait), MOST_NAMED))
        named = f", such as {', '.join(asking)}" if asking else ""
        raise NotResumable(
            wait.execution_id,
            f"step {wait.step!r} waits for its children: answer a child by its own id{named}.",
            open_steps=[wait.step],
        )


def _is_meant(wait: Wait, waits: Sequence[Wait], step: str | None) -> bool:
    if step is None:
        return len(waits) == 1
    return step == wait.id or f"{step}/".startswith(f"{wait.step}/")


def _asking(store: Store, wait: Wait) -> Iterator[str]:
    """Yield ids of halted children of a step that wait for an answer, not for their turn."""
    halted = store.execution_ids(
        parent=wait.execution_id,
        parent_step=wait.step,
        status=ExecutionStatus.HALTED,
        limit=10 * MOST_NAMED,
    )
    yield from (child for child in halted if store.waits(child, status=WaitStatus.OPEN))
