"""MemoryStore: executions in this process, for tests and for trying things out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import fields, replace
from datetime import datetime, timedelta

from django_workflows.core import clock
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Decide, Due, DueReason
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.store import Pending
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import ConfigurationError, StaleExecution
from django_workflows.stores.changes import changed_fields
from django_workflows.stores.memory.children import Children
from django_workflows.stores.memory.inbox import Inbox
from django_workflows.stores.memory.journal import EVER, Row, select
from django_workflows.stores.memory.purging import Purging


class MemoryStore(Children, Inbox, Purging):
    """
    Keep executions in this process; they are gone with it.

    All is kept as JSON text, so that what another store would refuse or change is refused or
    changed here too. One lock guards it, and ``atomic()`` holds it for its whole block: other
    threads wait with whatever they ask of the store until the block has ended.
    """

    supports_atomic = True
    concurrent_writers = False

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
        *,
        parent: str | None = None,
        parent_step: str | None = None,
        except_steps: Collection[str] = (),
    ) -> list[str]:
        wanted = {"workflow_id": workflow_id, "status": status}
        rows = self._newest(**wanted, parent=parent, parent_step=parent_step)
        found = [row.facts["id"] for row in rows if row.facts["parent_step"] not in except_steps]
        return found[:limit]

    def delete(self, execution_id: str) -> bool:
        with self._journal.block():
            file = self._files.get(execution_id)
            if file is None:
                return False
            facts = file.execution.facts
            self._drop(execution_id)
            for child in self._newest(parent=execution_id):
                self.delete(child.facts["id"])
            if facts["parent"] in self._files:
                self._leave(Chore(kind=ChoreKind.MEET, execution_id=facts["parent"]))
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
            return self.save(_claimed(stored, owner, now, now + lease))

    def claim_pending(
        self,
        owner: str,
        lease: timedelta,
        limit: int,
        *,
        workflow_ids: Collection[str],
        queues: Collection[str | None] | None = None,
    ) -> list[Execution]:
        with self._journal.block():
            rows = [
                row
                for row in self._by_status(ExecutionStatus.PENDING, "created_at")
                if row.facts["workflow_id"] in workflow_ids
                and (queues is None or row.facts["queue"] in queues)
            ]
            rows.sort(key=lambda row: -row.facts["priority"])
            now = clock.now()
            return [
                self.save(_claimed(row.read(), owner, now, now + lease)) for row in rows[:limit]
            ]

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
        chores: Sequence[Chore] = (),
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
            self._leave(*chores)

    def transition(self, execution_id: str, decide: Decide) -> Execution:
        with self._journal.block():
            change = decide(self.load(execution_id), self.waits(execution_id))
            if change.event is not None:
                self._take(change.event)
            self._write(change.execution, change.entries, change.waits)
            self._leave(*change.chores)
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

    def pending(
        self, before: datetime, limit: int = 500, after: Pending | None = None
    ) -> list[Pending]:
        rows = [
            row
            for row in self._by_status(ExecutionStatus.PENDING, "created_at")
            if row.facts["updated_at"] <= before
        ]
        found = [Pending(**{f.name: row.facts[f.name] for f in fields(Pending)}) for row in rows]
        found.sort(key=_place)
        return [one for one in found if after is None or _place(one) > _place(after)][:limit]

    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        running = self._by_status(ExecutionStatus.RUNNING, "lease_expires_at")
        expired = [row for row in running if (row.facts["lease_expires_at"] or EVER) < now]
        halted = self._by_status(ExecutionStatus.HALTED, "deadline_at")
        late = [
            row for row in halted if row.facts["deadline_at"] and row.facts["deadline_at"] <= now
        ]
        due = [
            Due(reason=reason, execution_id=row.facts["id"])
            for reason, rows in ((DueReason.EXPIRED, expired), (DueReason.DEADLINE, late))
            for row in rows[:limit]
        ]
        for reason, fact in ((DueReason.WAIT, "wake_at"), (DueReason.REMINDER, "remind_at")):
            waits = select(self._open_waits(), fact)
            ripe = [row for row in waits if row.facts[fact] and row.facts[fact] <= now]
            for row in ripe[:limit]:
                execution_id, wait_id = row.facts["execution_id"], row.facts["id"]
                due.append(Due(reason=reason, execution_id=execution_id, wait_id=wait_id))
        return due

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


def _claimed(execution: Execution, owner: str, now: datetime, until: datetime) -> Execution:
    return replace(
        execution,
        status=ExecutionStatus.RUNNING,
        lease_owner=owner,
        lease_expires_at=until,
        fence=execution.fence + 1,
        claims=execution.claims + 1,
        started_at=execution.started_at or now,
        updated_at=now,
    )


def _place(pending: Pending) -> tuple[datetime, str]:
    return pending.created_at, pending.id
