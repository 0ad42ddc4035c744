"""What is seen of one execution, and what may never become of what was seen before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.waits import Wait, WaitStatus

#: What a wait may become.
_BECOMES = {
    WaitStatus.OPEN: set(WaitStatus),
    WaitStatus.SETTLED: {WaitStatus.SETTLED, WaitStatus.TAKEN, WaitStatus.WITHDRAWN},
    WaitStatus.TAKEN: {WaitStatus.TAKEN},
    WaitStatus.WITHDRAWN: {WaitStatus.WITHDRAWN},
}

#: The fields that nothing changes.
_FIXED = (
    *("id", "workflow_id", "created_at", "parent", "item", "idempotency_key"),
    *("started_by", "queue", "priority"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One execution with all that belongs to it."""

    execution: Execution
    entries: Sequence[Entry]
    waits: Sequence[Wait]

    @property
    def open_waits(self) -> list[Wait]:
        """Return those that nobody has answered."""
        return [wait for wait in self.waits if wait.status == WaitStatus.OPEN]

    @property
    def is_held(self) -> bool:
        """Say whether it is a child whose turn has not come."""
        execution = self.execution
        return execution.status == ExecutionStatus.HALTED and execution.fence == 0


def is_by_hand(entry: Entry) -> bool:
    """Say whether a verb brought the execution back to life."""
    return entry.action == EntryAction.SKIPPED or (
        entry.action == EntryAction.RETRIED and entry.error is None
    )


def check_progress(before: Seen, now: Seen) -> None:
    """Assert that nothing was unwritten, and that an end is one."""
    old, new = before.execution, now.execution
    for name in _FIXED:
        assert getattr(new, name) == getattr(old, name), f"{name} of {new.id} has changed"
    assert new.fence >= old.fence, f"the fence of {new.id} fell from {old.fence} to {new.fence}"
    if new.frames.retries == old.frames.retries:  # by hand, it may be given another
        assert new.input == old.input
    kept = now.entries[: len(before.entries)]
    assert kept == before.entries, f"history of {new.id} was rewritten"
    for wait in before.waits:
        _check_wait(wait, {other.id: other for other in now.waits}[wait.id])
    # Of which step it is a child is up to its parent.
    is_same = replace(new, parent_step=old.parent_step) == old and now.waits == before.waits
    if old.status.is_final and not is_same:
        added = now.entries[len(before.entries) :]
        assert added, f"{new.id} was {old.status} and was written without an entry"
        assert is_by_hand(added[0]), f"{new.id} was {old.status}, and then {added[0].action}"


def _check_wait(before: Wait, now: Wait) -> None:
    where = f"wait at {now.step} of {now.execution_id}"
    assert now.status in _BECOMES[before.status], f"{where}: {before.status}, then {now.status}"
    if before.status == WaitStatus.OPEN:
        kept = now.answers[: len(before.answers)]
        assert kept == before.answers, f"{where}: an answer was changed"
    else:
        assert now.answers == before.answers, f"{where}: answered again, when it was settled"
