"""Stores with a point before and after every write, and a bell that only posts messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.contrib.auth.models import Group
from django.db import connections

from django_workflows.core.ids import new_id
from django_workflows.models import (
    WorkflowChore,
    WorkflowEntry,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowWait,
)
from django_workflows.runners.base import Adapter, Ringable
from django_workflows.stores.memory import MemoryStore
from django_workflows.stores.memory.journal import File, Row
from django_workflows.stores.orm import OrmStore
from tests.machine.actors import pass_by
from tests.machine.seen import Seen

#: A process may die, or freeze, before and after each of these.
WRITES = (
    *("create", "create_children", "claim", "claim_pending", "checkpoint", "suspend"),
    *("transition", "supersede", "release_held", "add_event", "finish_chore", "next_event"),
    *("transition_all", "finish_chores"),
)


def pointed(cls: type) -> type:
    """Put a point before and after every write of a store."""

    def around(name: str) -> Callable[..., Any]:
        def write(self: Any, *arguments: Any, **options: Any) -> Any:
            pass_by(f"before {name}", may_freeze=self.may_freeze())
            written = getattr(super(cls, self), name)(*arguments, **options)  # type: ignore[misc]
            pass_by(f"after {name}", may_freeze=self.may_freeze())
            return written

        return write

    for name in WRITES:
        setattr(cls, name, around(name))
    return cls


@pointed
class MemoryBackend(MemoryStore):
    """A MemoryStore with points, and a ledger for what atomic steps write."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._ledger: dict[str, str] = {}
        self._looked_at: dict[str, File] = {}
        self._read: dict[int, tuple[Row[Any], Any]] = {}

    def clear(self) -> None:
        """Forget everything: it is empty from the beginning."""

    def may_freeze(self) -> bool:
        """Say whether others can go on while this thread stands still."""
        return not self._journal.lock._is_owned()  # type: ignore[attr-defined]

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """See Store.atomic()."""
        with super().atomic():
            yield
        pass_by("after commit", may_freeze=self.may_freeze())

    def note(self, key: str) -> None:
        """Write ``key`` into the ledger, in the transaction that is open."""
        with self._journal.block():
            self._journal.put(self._ledger, new_id(), key)

    def noted(self) -> Counter[str]:
        """Return how often each key stands in the ledger."""
        return Counter(self._ledger.values())

    def news(self) -> Iterator[Seen]:
        """Yield the executions that were written since this was last asked, oldest first."""
        for name in self.execution_ids(limit=10_000)[::-1]:
            file = self._files[name]
            if self._looked_at.get(name) is file:
                continue
            self._looked_at[name] = file
            waits = [self._known(row) for row in file.waits.values()]
            yield Seen(
                execution=file.execution.read(),
                entries=[self._known(row) for row in file.entries],
                waits=sorted(waits, key=lambda wait: wait.opened_at),
            )

    def _known(self, row: Row[Any]) -> Any:
        """Read a row once: it never changes, and there are many."""
        if id(row) not in self._read:
            self._read[id(row)] = row, row.read()
        return self._read[id(row)][1]


@pointed
class OrmBackend(OrmStore):
    """An OrmStore with points; what atomic steps write are rows of Django's groups."""

    def clear(self) -> None:
        """Forget everything."""
        for model in (WorkflowEntry, WorkflowWait, WorkflowChore, WorkflowEvent):
            model.objects.all()._raw_delete("default")
        WorkflowExecution.objects.update(parent=None)
        WorkflowExecution.objects.all()._raw_delete("default")
        Group.objects.all()._raw_delete("default")
        self._looked_at: dict[str, Seen] = {}

    def may_freeze(self) -> bool:
        """See MemoryBackend.may_freeze()."""
        return not connections[self.using].in_atomic_block

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """See Store.atomic()."""
        with super().atomic():
            yield
        pass_by("after commit", may_freeze=self.may_freeze())

    def note(self, key: str) -> None:
        """See MemoryBackend.note()."""
        Group.objects.create(name=f"{new_id()} {key}")

    def noted(self) -> Counter[str]:
        """See MemoryBackend.noted()."""
        names = Group.objects.values_list("name", flat=True)
        return Counter(name.partition(" ")[2] for name in names)

    def news(self) -> Iterator[Seen]:
        """See MemoryBackend.news()."""
        entries: dict[str, list[Any]] = {}
        for entry in WorkflowEntry.objects.order_by("id"):
            entries.setdefault(entry.execution_id, []).append(entry.to_core())
        waits: dict[str, list[Any]] = {}
        for wait in WorkflowWait.objects.order_by("opened_at", "id"):
            waits.setdefault(wait.execution_id, []).append(wait.to_core())
        for row in WorkflowExecution.objects.order_by("created_at", "id"):
            now = Seen(
                execution=row.to_core(),
                entries=entries.get(row.id, []),
                waits=waits.get(row.id, []),
            )
            if now != self._looked_at.get(row.id):
                self._looked_at[row.id] = now
                yield now


class Post(Adapter):
    """Keeps the messages that it was to send; the test delivers, repeats or loses them."""

    messages: ClassVar[list[str]] = []

    def dispatch(self, execution: Ringable) -> None:
        """See Adapter.dispatch()."""
        pass_by("before the message", may_freeze=False)
        self.messages.append(execution.id)
        pass_by("after the message", may_freeze=False)
