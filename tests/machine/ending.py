"""Bring everything to rest, and then to its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from django_workflows import api, wiring
from django_workflows.core import clock
from django_workflows.core.chores import Chore
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Wait, WaitKind
from django_workflows.exceptions import ExecutionNotFound, WorkflowError
from django_workflows.supervisor import Supervisor
from tests.machine.backends import Post
from tests.machine.seen import Seen, is_by_hand

#: More rounds than it takes, where nothing is stuck.
MOST_ROUNDS = 60

LEASE = timedelta(seconds=61)


def all_chores(store: Any) -> list[Chore]:
    """Return all chores, also those that are not due."""
    return store.chores(datetime.max.replace(tzinfo=UTC), 10_000)  # type: ignore[no-any-return]


def deliver() -> int:
    """Let a worker do everything that it is told of; return how much that was."""
    count = 0
    while Post.messages:
        count += 1
        with suppress(ExecutionNotFound):  # it was purged
            wiring.drive(Post.messages.pop(0))
    return count


def rest(store: Any) -> None:
    """
    Let workers and supervisors do all there is to do.

    Time passes only where nothing goes on without it.
    """
    for _ in range(MOST_ROUNDS):
        done = Supervisor().sweep() + deliver()
        under_way = [
            *store.execution_ids(status=ExecutionStatus.PENDING),
            *store.execution_ids(status=ExecutionStatus.RUNNING),
        ]
        left = all_chores(store)
        if not (done or under_way or left):
            return
        if not done:
            clock.travel(LEASE)
    raise AssertionError(f"It never comes to rest: {under_way}, {left}")


def finish(store: Any) -> None:
    """Answer whatever waits, until nothing does."""
    for _ in range(MOST_ROUNDS):
        waits = store.find_waits(limit=10_000)
        if not waits:
            return
        for wait in waits:
            _answer(store, wait)
        rest(store)
    raise AssertionError(f"It never comes to its end: {[wait.step for wait in waits]}")


def _answer(store: Any, wait: Wait) -> None:
    """Answer as people, senders and time do; who is too late is told so."""
    with suppress(WorkflowError):
        match wait.kind:
            case WaitKind.APPROVAL:
                for person in ("xara", "yuri"):
                    api.resume(wait.execution_id, step=wait.id, approved=True, by=person)
            case WaitKind.HALT:
                api.resume(wait.execution_id, step=wait.id, response="so be it")
            case WaitKind.EVENT:
                name, _, key = (wait.key or "").partition(":")
                if store.next_event(wait.key) is None:
                    api.send_event(name, key, "at last")
            case WaitKind.TIMER | WaitKind.RETRY:
                clock.travel(LEASE)
            case _:
                pass  # a child, which has waits of its own


def check_rest(store: Any, seen: Mapping[str, Seen]) -> None:
    """Assert that each execution has ended or waits for something that may yet come."""
    for one in seen.values():
        assert api.explain(one.execution.id)
        if one.execution.status.is_final:
            _check_children(one, seen)
            continue
        assert one.execution.status == ExecutionStatus.HALTED
        assert one.open_waits or _is_held(one, seen), f"{one.execution.id} waits for nothing"
        for wait in one.open_waits:
            _check_wait(store, wait, seen)
    assert all_chores(store) == []
    assert store.due(clock.now(), 10_000) == []


def check_end(store: Any, seen: Mapping[str, Seen]) -> None:
    """Assert that each execution has ended."""
    check_rest(store, seen)
    for one in seen.values():
        execution = one.execution
        assert execution.status.is_final, f"{execution.id} is {api.explain(execution.id)}"


def _check_children(parent: Seen, seen: Mapping[str, Seen]) -> None:
    for child in seen.values():
        if child.execution.parent == parent.execution.id and not child.execution.status.is_final:
            # Somebody may have brought it back to life by hand.
            revived = any(is_by_hand(entry) for entry in child.entries)
            assert revived, f"{child.execution.id} goes on, and its parent has ended"


def _is_held(one: Seen, seen: Mapping[str, Seen]) -> bool:
    """Say whether it is a child whose turn comes when another of its step has ended."""
    before = [
        other
        for other in seen.values()
        if other.execution.parent == one.execution.parent
        and other.execution.parent_step == one.execution.parent_step
        and other.open_waits
    ]
    return one.is_held and bool(before)


def _check_wait(store: Any, wait: Wait, seen: Mapping[str, Seen]) -> None:
    assert wait.wake_at is None or wait.wake_at > clock.now()
    if wait.kind == WaitKind.EVENT:
        assert store.next_event(wait.key) is None, f"an event for {wait.key} lies there"
    if wait.kind != WaitKind.CHILD:
        return
    children = [
        one.execution
        for one in seen.values()
        if one.execution.id == wait.key
        or (one.execution.parent, one.execution.parent_step) == (wait.execution_id, wait.step)
    ]
    assert not all(child.status.is_final for child in children), f"{wait.step} has joined"
