"""How MemoryStore keeps events, chores, graphs and who is at work."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django_workflows.core import codec
from django_workflows.core.chores import Chore
from django_workflows.core.presence import Presence
from django_workflows.core.waits import InboxEvent
from django_workflows.stores.memory.journal import Row, select
from django_workflows.stores.memory.rows import Rows


class Inbox(Rows):
    """The part of MemoryStore that knows of what belongs to no execution."""

    def add_event(self, event: InboxEvent, chore: Chore | None = None) -> InboxEvent:
        with self._journal.block():
            if event.id in self._events:
                return self._events[event.id].read()
            self._journal.put(self._events, event.id, Row.of(event))
            if chore is not None:
                self._leave(chore)
        return event

    def next_event(self, topic: str) -> InboxEvent | None:
        with self._journal.lock:
            rows = [row for row in self._events.values() if row.facts["topic"] == topic]
        untaken = [row for row in select(rows, "sent_at") if row.facts["taken_by"] is None]
        return untaken[0].read() if untaken else None

    def chores(self, now: datetime, limit: int = 100) -> list[Chore]:
        with self._journal.lock:
            rows = select(self._chores.values(), "due_at")
        return [row.read() for row in rows if row.facts["due_at"] <= now][:limit]

    def finish_chore(self, chore_id: str) -> None:
        with self._journal.block():
            self._journal.drop(self._chores, chore_id)

    def announce(self, presence: Presence) -> None:
        with self._journal.block():
            self._journal.put(self._present, presence.id, Row.of(presence))

    def present(self) -> list[Presence]:
        with self._journal.lock:
            rows = select(self._present.values(), "started_at")
        return [row.read() for row in rows]

    def dismiss(self, presence_id: str) -> None:
        with self._journal.block():
            self._journal.drop(self._present, presence_id)

    def remember_graph(self, workflow_id: str, version: str, graph: Mapping[str, Any]) -> None:
        with self._journal.block():
            self._journal.put(self._graphs, (workflow_id, version), codec.dumps(dict(graph)))

    def graph(self, workflow_id: str, version: str) -> dict[str, Any] | None:
        with self._journal.lock:
            text = self._graphs.get((workflow_id, version))
        return None if text is None else codec.loads(text)
