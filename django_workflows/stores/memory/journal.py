"""What MemoryStore keeps its rows in: JSON text, and tables that a failed block does not change."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from django_workflows.core.chores import Chore
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.presence import Presence
from django_workflows.core.records import Record
from django_workflows.core.waits import InboxEvent, Wait

R = TypeVar("R", bound=Record)
T = TypeVar("T")

#: Sorts before every moment: a lease that nobody holds has ended long ago.
EVER = datetime.min.replace(tzinfo=UTC)

#: The fields by which records are found, kept beside their text so that no JSON is read to filter.
_FACTS: dict[type[Record], tuple[str, ...]] = {
    Execution: (
        *("id", "workflow_id", "status", "parent", "parent_step", "item", "subject"),
        *("idempotency_key", "fence", "queue", "priority"),
        *("created_at", "updated_at", "finished_at", "lease_expires_at", "deadline_at"),
    ),
    Entry: (),
    Wait: ("id", "execution_id", "kind", "status", "key", "opened_at", "wake_at", "remind_at"),
    InboxEvent: ("id", "topic", "taken_by", "sent_at"),
    Chore: ("id", "execution_id", "due_at"),
    Presence: ("id", "started_at"),
}


@dataclass(frozen=True, slots=True)
class Row(Generic[R]):
    """A record as JSON text, beside it the facts by which it is found."""

    kind: type[R]
    text: str
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, record: R) -> Row[R]:
        """Return the row of ``record``. Raise PayloadError where it cannot be kept."""
        facts = {name: getattr(record, name) for name in _FACTS[type(record)]}
        return cls(type(record), json.dumps(record.to_dict(), allow_nan=False), facts)

    def read(self) -> R:
        """Return the record, read anew from its text."""
        return self.kind.from_dict(json.loads(self.text))


@dataclass(frozen=True, slots=True)
class File:
    """An execution with all that belongs to it."""

    execution: Row[Execution]
    entries: tuple[Row[Entry], ...] = ()
    waits: Mapping[str, Row[Wait]] = field(default_factory=dict)


class Journal:
    """
    One lock, and the changes made under it: a block that raises is undone.

    ``atomic`` blocks are those of a user; callbacks given inside one run once it is kept.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        # What to put back: table, key, and the value before, in a list that is empty for none.
        self._undo: list[tuple[dict[Any, Any], Any, list[Any]]] = []
        self._callbacks: list[Callable[[], object]] = []
        self._depth = 0
        self._atomic_depth = 0

    @contextmanager
    def block(self) -> Iterator[None]:
        """Hold the lock; undo what the block has changed if it raises."""
        with self.lock:
            changes, callbacks = len(self._undo), len(self._callbacks)
            self._depth += 1
            try:
                yield
            except BaseException:
                self._roll_back(changes)
                del self._callbacks[callbacks:]
                raise
            finally:
                self._depth -= 1
                if not self._depth:
                    self._undo.clear()

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """See block(). After the outermost one, with the lock given back, call the callbacks."""
        with self.block():
            self._atomic_depth += 1
            try:
                yield
            finally:
                self._atomic_depth -= 1
            kept: list[Callable[[], object]] = []
            if not self._atomic_depth:
                kept, self._callbacks = self._callbacks, kept
        for callback in kept:
            callback()

    def in_atomic(self) -> bool:
        """Return whether this thread is inside an atomic() block."""
        # Whoever holds the lock and sees an open block is the thread that opened it.
        with self.lock:
            return self._atomic_depth > 0

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once the outermost atomic() block is kept; outside of one, now."""
        with self.lock:
            if self._atomic_depth:
                self._callbacks.append(callback)
                return
        callback()

    def put(self, table: dict[T, Any], key: T, value: Any) -> None:
        """Set ``table[key]``, inside a block()."""
        self._note(table, key)
        table[key] = value

    def drop(self, table: dict[T, Any], key: T) -> None:
        """Take ``key`` out of ``table`` if it is there, inside a block()."""
        self._note(table, key)
        table.pop(key, None)

    def _note(self, table: dict[T, Any], key: T) -> None:
        self._undo.append((table, key, [table[key]] if key in table else []))

    def _roll_back(self, changes: int) -> None:
        while len(self._undo) > changes:
            table, key, before = self._undo.pop()
            table.pop(key, None)
            table.update((key, value) for value in before)


def select(rows: Iterable[Row[R]], by: str, **wanted: Any) -> list[Row[R]]:
    """Return the rows whose facts are as ``wanted`` (None: any), in order of the fact ``by``."""
    asked = [(name, value) for name, value in wanted.items() if value is not None]
    found = [row for row in rows if all(row.facts[name] == value for name, value in asked)]
    return sorted(found, key=lambda row: row.facts[by] or EVER)
