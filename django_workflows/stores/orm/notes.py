"""What OrmStore keeps beside executions: events, chores, who is at work, and graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import IntegrityError
from django.db.models import Q

from django_workflows.core.chores import Chore
from django_workflows.core.ids import canonical
from django_workflows.core.presence import Presence
from django_workflows.core.waits import InboxEvent
from django_workflows.exceptions import EventTaken
from django_workflows.stores.orm.connection import answers
from django_workflows.stores.orm.rows import NOBODY, OrmRows
from django_workflows.stores.orm.statements import Statement, write_guarded

#: How a database with a clock of its own is asked for it, by vendor.
CLOCKS = {"postgresql": "SELECT clock_timestamp()", "mysql": "SELECT UTC_TIMESTAMP(6)"}


class OrmNotes(OrmRows):
    """Events, chores, presences and graphs of OrmStore."""

    # Events -------------------------------------------------------------------------------------

    @answers
    def add_event(self, event: InboxEvent, chore: Chore | None = None) -> InboxEvent:
        connection, tables = self._connection, self._tables
        left = [] if chore is None else [chore]
        rest = list(tables.chores.insert_all(connection, left, guarded=True))
        if write_guarded(connection, tables.events.insert(connection, event), rest):
            return event
        row = self._events.filter(id=canonical(event.id) or NOBODY).first()
        return event if row is None else row.to_core()

    @answers
    def next_event(self, topic: str) -> InboxEvent | None:
        # Either part may have colons itself, so each of them may be the one in between.
        words = topic.split(":")
        asked = Q(pk__in=[])
        for place in range(1, len(words)):
            asked |= Q(name=":".join(words[:place]), key=":".join(words[place:]))
        row = self._events.filter(asked, taken_by=None).order_by("sent_at", "id").first()
        return None if row is None else row.to_core()

    def _take(self, event: InboxEvent) -> None:
        """Give ``event`` to the wait that it names. Raise EventTaken, inside a transaction."""
        untaken = self._events.filter(id=canonical(event.id) or NOBODY, taken_by=None)
        try:
            given = untaken.update(taken_by=event.taken_by)
        except IntegrityError as error:  # the wait has another one
            raise EventTaken(event.id) from error
        if not given:
            raise EventTaken(event.id)

    # Chores -------------------------------------------------------------------------------------

    @answers
    def chores(self, now: datetime, limit: int = 100) -> list[Chore]:
        due = self._chores.filter(due_at__lte=now).order_by("due_at", "id")
        return [row.to_core() for row in due[:limit]]

    @answers
    def finish_chore(self, chore_id: str) -> None:
        self._tables.chores.delete(self._connection, canonical(chore_id)).execute(self._connection)

    @answers
    def finish_chores(self, chore_ids: Sequence[str]) -> None:
        if chore_ids:
            known = [name for name in map(canonical, chore_ids) if name is not None]
            self._chores.filter(id__in=known).delete()

    # Who is at work -----------------------------------------------------------------------------

    @answers
    def announce(self, presence: Presence) -> None:
        connection, table = self._connection, self._tables.presences
        names, where = list(table.fields), {"id": presence.id}
        if not table.update(connection, presence, names, where=where).execute(connection):
            table.insert(connection, presence).execute(connection)

    @answers
    def present(self) -> list[Presence]:
        return [row.to_core() for row in self._presences.order_by("started_at", "id")]

    @answers
    def dismiss(self, presence_id: str) -> None:
        self._tables.presences.delete(self._connection, presence_id).execute(self._connection)

    @answers
    def now(self) -> datetime:
        sql = CLOCKS.get(self._connection.vendor)
        if sql is None:
            return super().now()
        now: datetime = Statement(sql, ()).read_row(self._connection)[0]
        return now.astimezone(UTC) if now.tzinfo else now.replace(tzinfo=UTC)

    # Graphs -------------------------------------------------------------------------------------

    @answers
    def remember_graph(self, workflow_id: str, version: str, graph: Mapping[str, Any]) -> None:
        names = {"workflow_id": workflow_id, "version": version}
        drawn = {"graph": dict(graph)}
        kept = self.graph(workflow_id, version)
        if kept is None:
            # Of several at once one is written: all of them come from the same code.
            new = self._versions.model(**names, **drawn)
            self._versions.bulk_create([new], ignore_conflicts=True)
        elif kept != graph:
            self._versions.filter(**names).update(**drawn)

    @answers
    def graph(self, workflow_id: str, version: str) -> dict[str, Any] | None:
        rows = self._versions.filter(workflow_id=workflow_id, version=version)
        row = rows.first()
        return None if row is None else dict(row.graph)
