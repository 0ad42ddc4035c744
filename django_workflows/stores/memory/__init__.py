"""MemoryStore: executions in this process, for tests and for trying things out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django_workflows.core import clock, codec
from django_workflows.core.decisions import Decide
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.store import Due, DueReason, Store
from django_workflows.core.waits import InboxEvent, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import ConfigurationError, ExecutionNotFound, StaleExecution
from django_workflows.stores.changes import changed_fields
from django_workflows.stores.memory.journal import EVER, File, Journal, Row, select


class MemoryStore(Store):
    """
    Keep executions in this process; they are gone with it.

    All is kept as JSON text, so that what another store would refuse or change is refused or
    changed here too. One lock guards it, and ``atomic()`` holds it for its whole block: other
    threads wait with whatever they ask of the store until the block has ended.
    """

    supports_atomic = True
    concurrent_writers = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._journal = Journal()
        self._files: dict[str, File] = {}
        self._ids_by_key: dict[tuple[str, str], str] = {}
        self._events: dict[str, Row[InboxEvent]] = {}
        self._graphs: dict[tuple[str, str], str] = {}

    # Executions ---------------------------------------------------------------------------------

    def create(self, execution: Execution, entries: Sequence[Entry] = ()) -> Execution:
        with self._journal.block():
            file = self._files.get(execution.id) or self._file_by_key(execution)
            if file is not None:
                return file.execution.read()
            self._write(execution, entries)
            return execution

    def save(self, execution: Execution) -> Execution:
        with self._journal.block():
            self._write(execution)
            return execution

    def load(self, execution_id: str) -> Execution:
        return self._file(execution_id).execution.read()

    def find(
        self,
        workflow_id: str | None = None,
        status: ExecutionStatus | str | None = None,
        limit: int = 100,
        *,
        parent: str | None = None,
        subject: str | None = None,
    ) -> list[Execution]:
        rows = self._newest(workflow_id=workflow_id, status=status, parent=parent, subject=subject)
        return [row.read() for row in rows[:limit]]

    def execution_ids(
        self,
        workflow_id: str | None = None,
        status: ExecutionStatus | str | None = None,
        limit: int = 1000,
    ) -> list[str]:
        rows = self._newest(workflow_id=workflow_id, status=status)
        return [row.facts["id"] for row in rows[:limit]]

    def delete(self, execution_id: str) -> bool:
        with self._journal.block():
            file = self._files.get(execution_id)
            if file is None:
                return False
            facts = file.execution.facts
            self._journal.drop(self._files, execution_id)
            self._journal.drop(self._ids_by_key, (facts["workflow_id"], facts["idempotency_key"]))
            for child in self._newest(parent=execution_id):
                self.delete(child.facts["id"])
            return True

    # History ------------------------------------------------------------------------------------

    def record(self, entry: Entry) -> None:
        with self._journal.block():
            file = self._file(entry.execution_id)
            changed = replace(file, entries=(*file.entries, Row.of(entry)))
            self._journal.put(self._files, entry.execution_id, changed)

    def entries(self, execution_id: str) -> list[Entry]:
        with self._journal.lock:
            file = self._files.get(execution_id)
        return [row.read() for row in file.entries] if file else []

    # What the engine needs ----------------------------------------------------------------------

    def claim(self, execution_id: str, owner: str, lease: timedelta) -> Execution | None:
        with self._journal.block():
            stored = self.load(execution_id)
            now = clock.now()
            abandoned = (
                stored.status == ExecutionStatus.RUNNING and (stored.lease_expires_at or EVER) < now
            )
            if stored.status != ExecutionStatus.PENDING and not abandoned:
                return None
            claimed = replace(
                stored,
                status=ExecutionStatus.RUNNING,
                lease_owner=owner,
                lease_expires_at=now + lease,
                fence=stored.fence + 1,
                claims=stored.claims + 1,
                started_at=stored.started_at or now,
                updated_at=now,
            )
            return self.save(claimed)

    def renew(self, execution_id: str, fence: int, lease: timedelta) -> bool:
        with self._journal.block():
            if not self._has_fence(execution_id, fence):
                return False
            stored = self.load(execution_id)
            if stored.status != ExecutionStatus.RUNNING:
                return False
            self.save(replace(stored, lease_expires_at=clock.now() + lease))
            return True

    def checkpoint(
        self,
        execution: Execution,
        entries: Sequence[Entry],
        fence: int,
        waits: Sequence[Wait] = (),
        *,
        previous: Execution | None = None,
    ) -> None:
        with self._journal.block():
            if not self._has_fence(execution.id, fence):
                raise StaleExecution(execution.id, fence)
            known = {wait.id: wait for wait in self.waits(execution.id)}
            names = changed_fields(execution, previous)
            changed = {name: getattr(execution, name) for name in names}
            execution = replace(self.load(execution.id), **changed)
            self._write(
                execution,
                entries,
                [
                    replace(known[wait.id], status=wait.status) if wait.id in known else wait
                    for wait in waits
                    if wait.id in known or wait.status == WaitStatus.OPEN
                ],
            )

    def transition(self, execution_id: str, decide: Decide) -> Execution:
        with self._journal.block():
            change = decide(self.load(execution_id), self.waits(execution_id))
            self._write(change.execution, change.entries, change.waits)
            return change.execution

    def waits(self, execution_id: str, *, status: WaitStatus | None = None) -> list[Wait]:
        with self._journal.lock:
            file = self._files.get(execution_id)
        rows = select(file.waits.values(), "opened_at", status=status) if file else []
        return [row.read() for row in rows]

    def find_waits(
        self, *, kind: WaitKind | None = None, key: str | None = None, limit: int = 100
    ) -> list[Wait]:
        rows = select(self._open_waits(), "opened_at", kind=kind, key=key)
        return [row.read() for row in rows[:limit]]

    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        running = self._by_status(ExecutionStatus.RUNNING, "lease_expires_at")
        expired = [row for row in running if (row.facts["lease_expires_at"] or EVER) < now]
        halted = self._by_status(ExecutionStatus.HALTED, "deadline_at")
        late = [row for row in halted if (row.facts["deadline_at"] or now) <= now]
        waits = select(self._open_waits(), "wake_at")
        awake = [row for row in waits if row.facts["wake_at"] and row.facts["wake_at"] <= now]
        listed = {
            DueReason.PENDING: self._by_status(ExecutionStatus.PENDING, "updated_at"),
            DueReason.EXPIRED: expired,
            DueReason.DEADLINE: [row for row in late if row.facts["deadline_at"]],
        }
        due = [
            Due(reason=reason, execution_id=row.facts["id"])
            for reason, rows in listed.items()
            for row in rows[:limit]
        ]
        for row in awake[:limit]:
            execution_id, wait_id = row.facts["execution_id"], row.facts["id"]
            due.append(Due(reason=DueReason.WAIT, execution_id=execution_id, wait_id=wait_id))
        return due

    # Events and versions ------------------------------------------------------------------------

    def add_event(self, event: InboxEvent) -> None:
        with self._journal.block():
            self._journal.put(self._events, event.id, Row.of(event))

    def reserve_event(self, wait: Wait) -> InboxEvent | None:
        with self._journal.block():
            rows = [row for row in self._events.values() if row.facts["topic"] == wait.key]
            given = select(rows, "sent_at", taken_by=wait.id)
            untaken = [row for row in select(rows, "sent_at") if row.facts["taken_by"] is None]
            for row in (*given, *untaken):
                event = replace(row.read(), taken_by=wait.id)
                self.add_event(event)
                return event
            return None

    def remember_graph(self, workflow_id: str, version: str, graph: Mapping[str, Any]) -> None:
        with self._journal.block():
            self._journal.put(self._graphs, (workflow_id, version), codec.dumps(dict(graph)))

    def graph(self, workflow_id: str, version: str) -> dict[str, Any] | None:
        with self._journal.lock:
            text = self._graphs.get((workflow_id, version))
        return None if text is None else codec.loads(text)

    # Transactions and threads -------------------------------------------------------------------

    def atomic(self) -> AbstractContextManager[None]:
        """Undo what this thread writes in the block if it raises; others wait until it ends."""
        return self._journal.atomic()

    def refuse_open_transaction(self) -> None:
        if self._journal.in_atomic():
            raise ConfigurationError(
                "An execution cannot be driven inside MemoryStore.atomic(): its checkpoints would"
                " be undone with the block. Leave the block first."
            )

    def on_commit(self, callback: Callable[[], object]) -> None:
        self._journal.on_commit(callback)

    # Rows ---------------------------------------------------------------------------------------

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

    def _write(
        self,
        execution: Execution,
        entries: Sequence[Entry] = (),
        waits: Sequence[Wait] = (),
    ) -> None:
        row = Row.of(execution)
        file = self._files.get(execution.id, File(row))
        file = File(
            execution=row,
            entries=(*file.entries, *map(Row.of, entries)),
            waits={**file.waits, **{wait.id: Row.of(wait) for wait in waits}},
        )
        self._journal.put(self._files, execution.id, file)
        if execution.idempotency_key is not None:
            key = (execution.workflow_id, execution.idempotency_key)
            self._journal.put(self._ids_by_key, key, execution.id)

    def _by_status(self, status: ExecutionStatus, by: str) -> list[Row[Execution]]:
        with self._journal.lock:
            return select((file.execution for file in self._files.values()), by, status=status)

    def _newest(self, **wanted: Any) -> list[Row[Execution]]:
        with self._journal.lock:
            rows = [file.execution for file in self._files.values()]
        rows.sort(key=lambda row: row.facts["id"])
        return select(rows, "created_at", **wanted)[::-1]

    def _open_waits(self) -> list[Row[Wait]]:
        with self._journal.lock:
            waits = [row for file in self._files.values() for row in file.waits.values()]
        return select(waits, "opened_at", status=WaitStatus.OPEN)
