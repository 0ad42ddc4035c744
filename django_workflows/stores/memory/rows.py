"""The tables of MemoryStore, and how a row gets into them and is found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django_workflows.core.chores import Chore
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.presence import Presence
from django_workflows.core.store import Store
from django_workflows.core.waits import InboxEvent, Wait, WaitStatus
from django_workflows.exceptions import EventTaken, ExecutionNotFound
from django_workflows.stores.memory.journal import File, Journal, Row, select


class Rows(Store):
    """What the parts of MemoryStore share."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._journal = Journal()
        self._files: dict[str, File] = {}
        self._ids_by_key: dict[tuple[str, str], str] = {}
        self._ids_by_parent: dict[str, dict[str, None]] = {}
        self._events: dict[str, Row[InboxEvent]] = {}
        self._graphs: dict[tuple[str, str], str] = {}
        self._chores: dict[str, Row[Chore]] = {}
        self._present: dict[str, Row[Presence]] = {}

    def _file(self, execution_id: str) -> File:
        with self._journal.lock:
            file = self._files.get(execution_id)
        if file is None:
            raise ExecutionNotFound(execution_id)
        return file

    def _file_by_key(self, execution: Execution) -> File | None:
        if execution.idempotency_key is None:
            return None
        key = (execution.workflow_id, execution.idempotency_key)
        return self._files.get(self._ids_by_key.get(key, ""))

    def _has_fence(self, execution_id: str, fence: int) -> bool:
        file = self._files.get(execution_id)
        return file is not None and file.execution.facts["fence"] == fence

    # Write, inside a block ----------------------------------------------------------------------

    def _write(
        self,
        execution: Execution,
        entries: Sequence[Entry] = (),
        waits: Sequence[Wait] = (),
    ) -> None:
        row = Row.of(execution)
        known = self._files.get(execution.id)
        if known is not None:
            self._unlist(known.execution)
        file = known or File(row)
        file = File(
            execution=row,
            entries=(*file.entries, *map(Row.of, entries)),
            waits={**file.waits, **{wait.id: Row.of(wait) for wait in waits}},
        )
        self._journal.put(self._files, execution.id, file)
        if execution.idempotency_key is not None:
            key = (execution.workflow_id, execution.idempotency_key)
            self._journal.put(self._ids_by_key, key, execution.id)
        if execution.parent is not None:
            ids = self._ids_by_parent.setdefault(execution.parent, {})
            self._journal.put(ids, execution.id, None)

    def _drop(self, execution_id: str) -> None:
        self._unlist(self._files[execution_id].execution)
        self._journal.drop(self._files, execution_id)

    def _unlist(self, row: Row[Execution]) -> None:
        facts = row.facts
        self._journal.drop(self._ids_by_key, (facts["workflow_id"], facts["idempotency_key"]))
        if facts["parent"] is not None:
            self._journal.drop(self._ids_by_parent[facts["parent"]], facts["id"])

    def _leave(self, *chores: Chore) -> None:
        for chore in chores:
            self._journal.put(self._chores, chore.id, Row.of(chore))

    def _take(self, event: InboxEvent) -> None:
        kept = self._events.get(event.id)
        if kept is None or kept.facts["taken_by"] is not None:
            raise EventTaken(event.id)
        self._journal.put(self._events, event.id, Row.of(event))

    # Find ---------------------------------------------------------------------------------------

    def _by_status(self, status: ExecutionStatus, by: str) -> list[Row[Execution]]:
        with self._journal.lock:
            return select((file.execution for file in self._files.values()), by, status=status)

    def _newest(self, parent: str | None = None, **wanted: Any) -> list[Row[Execution]]:
        with self._journal.lock:
            ids = self._files if parent is None else self._ids_by_parent.get(parent, ())
            rows = [self._files[name].execution for name in ids]
        rows.sort(key=lambda row: row.facts["id"])
        return select(rows, "created_at", **wanted)[::-1]

    def _open_waits(self) -> list[Row[Wait]]:
        with self._journal.lock:
            waits = [row for file in self._files.values() for row in file.waits.values()]
        return select(waits, "opened_at", status=WaitStatus.OPEN)
