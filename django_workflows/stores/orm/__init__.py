"""OrmStore: executions in the project's own database, through Django's connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import F

from django_workflows.core import clock
from django_workflows.core.decisions import Change, Decide
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.ids import canonical
from django_workflows.core.waits import InboxEvent, Wait, WaitStatus
from django_workflows.exceptions import (
    ConfigurationError,
    ExecutionNotFound,
    StaleExecution,
    StoreUnavailable,
)
from django_workflows.stores.orm.connection import StoreTransaction, answers
from django_workflows.stores.orm.reading import OrmReading
from django_workflows.stores.orm.sql import (
    Statement,
    Table,
    can_return_updated,
    claim,
    write_guarded,
)

if TYPE_CHECKING:
    from django_workflows.models import WorkflowExecution

#: How often create() looks for the execution that holds its key before it gives up.
CREATE_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Tables:
    """What is written past the ORM."""

    executions: Table
    entries: Table
    waits: Table


class OrmStore(OrmReading):
    """
    Keep executions in the database ``using``, an alias of ``settings.DATABASES``.

    An ``atomic`` step that writes to the same alias commits together with its checkpoint.
    """

    supports_atomic = True

    # Executions ---------------------------------------------------------------------------------

    @answers
    def create(self, execution: Execution, entries: Sequence[Entry] = ()) -> Execution:
        guard = self._tables.executions.insert(self._connection, execution)
        rest = list(self._tables.entries.insert_all(self._connection, entries, guarded=True))
        for _ in range(CREATE_ATTEMPTS):
            if write_guarded(self._connection, guard, rest):
                return execution
            known = self._known(execution)
            if known is not None:
                return known.to_core()
        raise StoreUnavailable(
            f"OrmStore(using={self.using!r})",
            f"execution {execution.id} or its key {execution.idempotency_key!r} is there and"
            " cannot be seen; is it hidden by a transaction with REPEATABLE READ?",
        )

    @answers
    def save(self, execution: Execution) -> Execution:
        columns = self._executions.model.columns_of(execution)
        self._executions.update_or_create(id=execution.id, defaults=columns)
        return execution

    @answers
    def delete(self, execution_id: str) -> bool:
        with transaction.atomic(using=self.using):
            try:
                level = [self._locked(execution_id).id]
            except ExecutionNotFound:
                return False
            # Locked level by level, so that no driver adds to what is about to go.
            doomed = list(level)
            while level:
                children = self._executions.select_for_update().filter(parent__in=level)
                level = list(children.order_by("id").values_list("id", flat=True))
                doomed += level
            self._executions.filter(id__in=doomed).delete()
        return True

    @answers
    def record(self, entry: Entry) -> None:
        tables, owner_id = self._tables, canonical(entry.execution_id)
        if owner_id is None:
            raise ExecutionNotFound(entry.execution_id)
        added = tables.entries.insert_below(self._connection, entry, tables.executions, owner_id)
        if not added.execute(self._connection):
            raise ExecutionNotFound(entry.execution_id)

    # What the engine needs ----------------------------------------------------------------------

    @answers
    def claim(self, execution_id: str, owner: str, lease: timedelta) -> Execution | None:
        known_id = canonical(execution_id)
        if known_id is None:
            raise ExecutionNotFound(execution_id)
        now = clock.now()
        taken = claim(
            self._tables.executions,
            self._connection,
            known_id,
            owner=owner,
            now=now,
            until=now + lease,
        )
        row = self._write_and_read(taken, known_id)
        if row is None and not self._executions.filter(id=known_id).exists():
            raise ExecutionNotFound(execution_id)
        return None if row is None else row.to_core()

    @answers
    def renew(self, execution_id: str, fence: int, lease: timedelta) -> bool:
        known_id = canonical(execution_id)
        if known_id is None:
            return False
        running = ExecutionStatus.RUNNING
        held = self._executions.filter(id=known_id, fence=fence, status=running)
        return bool(held.update(lease_expires_at=clock.now() + lease))

    @answers
    def checkpoint(
        self,
        execution: Execution,
        entries: Sequence[Entry],
        fence: int,
        waits: Sequence[Wait] = (),
        *,
        previous: Execution | None = None,
    ) -> None:
        if canonical(execution.id) is None:
            raise StaleExecution(execution.id, fence)
        differing = self._tables.executions.differing(execution, previous)
        # The fence is asked for and not written: claims alone make it grow.
        names = [name for name in differing if name not in {"id", "fence", "updated_at"}]
        guard = self._tables.executions.update(
            self._connection,
            execution,
            [*names, "updated_at"],
            where={"id": execution.id, "fence": fence},
        )
        rest = list(self._beside_checkpoint(entries, waits))
        if not write_guarded(self._connection, guard, rest):
            raise StaleExecution(execution.id, fence)

    @answers
    def transition(self, execution_id: str, decide: Decide) -> Execution:
        with transaction.atomic(using=self.using):
            row = self._locked(execution_id)
            locked = self._waits.select_for_update().filter(execution=row)
            stored = row.to_core()
            waits = [wait.to_core() for wait in locked.order_by("opened_at", "id")]
            change = decide(stored, waits)
            for statement in self._differences(change, stored, waits):
                statement.execute(self._connection)
        return change.execution

    # Events and versions ------------------------------------------------------------------------

    @answers
    def add_event(self, event: InboxEvent) -> None:
        self._events.create(**self._events.model.columns_of(event))

    @answers
    def reserve_event(self, wait: Wait) -> InboxEvent | None:
        while True:
            given = self._events.filter(taken_by=wait.id).first()
            if given is not None:
                return given.to_core()
            oldest = self._oldest_untaken(wait.key or "")
            if oldest is None:
                return None
            # Somebody may be first, for another wait or for this one: then look again.
            if self._give(oldest.id, wait.id):
                return replace(oldest.to_core(), taken_by=wait.id)

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

    # Transactions -------------------------------------------------------------------------------

    def atomic(self) -> AbstractContextManager[Any]:
        return StoreTransaction(self.using, savepoint=True, durable=False)

    def refuse_open_transaction(self) -> None:
        # As Django's atomic(durable=True) refuses it, and allows it inside a TestCase.
        blocks = self._connection.atomic_blocks
        if blocks and not getattr(blocks[-1], "_from_testcase", False):
            raise ConfigurationError(
                "An execution cannot be driven inside an open transaction on the database"
                f" {self.using!r}: its checkpoints would be undone with it. Leave the atomic()"
                " block first, or use start(), which is dispatched when the block commits."
            )

    def on_commit(self, callback: Callable[[], object]) -> None:
        transaction.on_commit(callback, using=self.using)

    # Rows and statements ------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> Tables:
        querysets = (self._executions, self._entries, self._waits)
        return Tables(*(Table(rows.model, self._connection) for rows in querysets))

    def _locked(self, execution_id: str) -> WorkflowExecution:
        known_id = canonical(execution_id)
        if self._connection.vendor == "sqlite" and known_id:
            # It has no row locks. A transaction that reads before it writes may be refused when
            # it comes to write, so this one begins with a write.
            self._executions.filter(id=known_id).update(fence=F("fence"))
        return self._row(self._executions.select_for_update(), execution_id)

    def _write_and_read(self, written: Statement, execution_id: str) -> WorkflowExecution | None:
        """Execute an UPDATE of one execution, and return its row, or None where that missed."""
        if can_return_updated(self._connection):
            sql = f"{written.sql} RETURNING *"
            return next(iter(self._executions.raw(sql, written.params)), None)
        with transaction.atomic(using=self.using, savepoint=False):
            hit = written.execute(self._connection)
            return self._executions.get(id=execution_id) if hit else None

    def _beside_checkpoint(
        self, entries: Sequence[Entry], waits: Sequence[Wait]
    ) -> Iterator[Statement]:
        connection, tables = self._connection, self._tables
        opened = [wait for wait in waits if wait.status == WaitStatus.OPEN]
        yield from tables.entries.insert_all(connection, entries, guarded=True)
        yield from tables.waits.insert_all(connection, opened, guarded=True)
        for wait in waits:
            if wait.status != WaitStatus.OPEN:
                yield tables.waits.update(
                    connection, wait, ["status"], where={"id": wait.id}, guarded=True
                )

    def _differences(
        self, change: Change, stored: Execution, waits: Sequence[Wait]
    ) -> Iterator[Statement]:
        connection, tables = self._connection, self._tables
        if names := tables.executions.differing(change.execution, stored):
            yield tables.executions.update(
                connection, change.execution, names, where={"id": stored.id}
            )
        yield from tables.entries.insert_all(connection, change.entries, guarded=False)
        known = {wait.id: wait for wait in waits}
        opened = [wait for wait in change.waits if wait.id not in known]
        yield from tables.waits.insert_all(connection, opened, guarded=False)
        for wait in change.waits:
            before = known.get(wait.id)
            if before and (names := tables.waits.differing(wait, before)):
                yield tables.waits.update(connection, wait, names, where={"id": wait.id})

    def _give(self, event_id: str, wait_id: str) -> bool:
        try:
            with transaction.atomic(using=self.using):
                untaken = self._events.filter(id=event_id, taken_by=None)
                return bool(untaken.update(taken_by=wait_id))
        except IntegrityError:
            return False
