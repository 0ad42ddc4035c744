"""SqlAlchemyStore: executions in any database that SQLAlchemy Core reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from django_workflows.core import clock, codec
from django_workflows.core.decisions import Decide
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.waits import InboxEvent, Wait, WaitStatus
from django_workflows.exceptions import ConfigurationError, StaleExecution
from django_workflows.stores.changes import changed_fields

try:
    import sqlalchemy as sa
except ImportError as error:  # pragma: no cover  the tests have it
    raise ConfigurationError(
        'SqlAlchemyStore needs SQLAlchemy: pip install "django-durable-workflows[sqlalchemy]"'
    ) from error

from django_workflows.stores.sqlalchemy import tables as tables
from django_workflows.stores.sqlalchemy import writing as writing
from django_workflows.stores.sqlalchemy.reading import (
    SqlAlchemyReading,
    load,
    oldest_waits,
    records,
)
from django_workflows.stores.sqlalchemy.tables import metadata, row
from django_workflows.stores.sqlalchemy.transactions import Transactions, connect

__all__ = ["SqlAlchemyStore", "metadata"]


class SqlAlchemyStore(SqlAlchemyReading):
    """
    Keep executions in the database at ``url``, or in that of an ``engine``, in tables of their own.

    ``create_tables()`` makes the tables; ``metadata`` has them for your own migrations. An
    ``atomic`` step that writes through ``connection`` commits together with its checkpoint.
    Further ``options`` are those of ``sqlalchemy.create_engine``.

    On SQLite, which must be a file, one thread writes at a time.
    """

    supports_atomic = True

    def __init__(
        self, url: str | None = None, engine: sa.Engine | None = None, **options: Any
    ) -> None:
        super().__init__(url=url, engine=engine, **options)
        self.engine = connect(url, engine, options)
        self.concurrent_writers = self.engine.dialect.name != "sqlite"
        self.transactions = Transactions(self.engine)

    @property
    def connection(self) -> sa.Connection:
        """Return the connection of this thread's ``atomic()`` block; ConfigurationError outside."""
        connection = self.transactions.connection
        if connection is None:
            raise ConfigurationError(
                "SqlAlchemyStore.connection is that of an atomic() block, and none is open here:"
                " make the step atomic, or open a connection of your own."
            )
        return connection

    def create_tables(self) -> None:
        """Create the tables and indexes that are not there yet."""
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            metadata.create_all(connection)
            connection.commit()

    # Executions ---------------------------------------------------------------------------------

    def create(self, execution: Execution, entries: Sequence[Entry] = ()) -> Execution:
        values, history = row(execution), writing.rows(entries)

        def write(connection: sa.Connection) -> Execution:
            created = writing.create_execution(connection, execution, values)
            if created is execution:
                writing.insert_rows(connection, tables.entries, history)
            return created

        return self.transactions.write(write)

    def save(self, execution: Execution) -> Execution:
        values = row(execution)
        self.transactions.write(
            lambda connection: writing.put_row(connection, tables.executions, values, key=("id",))
        )
        return execution

    def delete(self, execution_id: str) -> bool:
        return self.transactions.write(
            lambda connection: writing.delete_execution(connection, execution_id)
        )

    def record(self, entry: Entry) -> None:
        values = row(entry)

        def write(connection: sa.Connection) -> None:
            load(connection, entry.execution_id, lock=True)
            writing.insert_rows(connection, tables.entries, [values])

        self.transactions.write(write)

    # What the engine needs ----------------------------------------------------------------------

    def claim(self, execution_id: str, owner: str, lease: timedelta) -> Execution | None:
        now = clock.now()
        of = tables.executions.c
        lease_ended = of.lease_expires_at.is_(None) | (of.lease_expires_at < now)
        free = (of.status == ExecutionStatus.PENDING) | (
            (of.status == ExecutionStatus.RUNNING) & lease_ended
        )
        take = (
            tables.executions.update()
            .where(of.id == execution_id, free)
            .values(
                status=ExecutionStatus.RUNNING,
                lease_owner=owner,
                lease_expires_at=now + lease,
                fence=of.fence + 1,
                claims=of.claims + 1,
                started_at=sa.func.coalesce(of.started_at, sa.literal(now, tables.Moment())),
                updated_at=now,
            )
        )

        def write(connection: sa.Connection) -> Execution | None:
            taken = connection.execute(take).rowcount
            execution = load(connection, execution_id)
            return execution if taken else None

        return self.transactions.write(write)

    def renew(self, execution_id: str, fence: int, lease: timedelta) -> bool:
        until = {"lease_expires_at": clock.now() + lease}
        return self.transactions.write(
            lambda connection: writing.update_row(
                connection,
                tables.executions,
                until,
                id=execution_id,
                fence=fence,
                status=ExecutionStatus.RUNNING,
            )
        )

    def checkpoint(
        self,
        execution: Execution,
        entries: Sequence[Entry],
        fence: int,
        waits: Sequence[Wait] = (),
        *,
        previous: Execution | None = None,
    ) -> None:
        # The fence is always written, so that there is something to write.
        values = row(execution, changed_fields(execution, previous)) | {"fence": fence}
        history = writing.rows(entries)
        opened = writing.rows(wait for wait in waits if wait.status == WaitStatus.OPEN)
        closed = [wait for wait in waits if wait.status != WaitStatus.OPEN]

        def write(connection: sa.Connection) -> None:
            guard = {"id": execution.id, "fence": fence}
            if not writing.update_row(connection, tables.executions, values, **guard):
                raise StaleExecution(execution.id, fence)
            writing.insert_rows(connection, tables.entries, history)
            writing.insert_rows(connection, tables.waits, opened)
            for wait in closed:
                writing.update_row(connection, tables.waits, {"status": wait.status}, id=wait.id)

        self.transactions.write(write)

    def transition(self, execution_id: str, decide: Decide) -> Execution:
        def write(connection: sa.Connection) -> Execution:
            stored = load(connection, execution_id, lock=True)
            known = records(connection, Wait, oldest_waits(execution_id=execution_id))
            change = decide(stored, known)
            values = row(change.execution, ["id", *changed_fields(change.execution, stored)])
            history, waits = writing.rows(change.entries), writing.rows(change.waits)
            writing.update_row(connection, tables.executions, values, id=execution_id)
            writing.insert_rows(connection, tables.entries, history)
            for wait in waits:
                writing.put_row(connection, tables.waits, wait, key=("id",))
            return change.execution

        return self.transactions.write(write)

    # Events and versions ------------------------------------------------------------------------

    def add_event(self, event: InboxEvent) -> None:
        values = row(event) | {"topic": event.topic}
        self.transactions.write(
            lambda connection: writing.insert_rows(connection, tables.events, [values])
        )

    def reserve_event(self, wait: Wait) -> InboxEvent | None:
        if wait.key is None:
            return None
        return self.transactions.write(lambda connection: writing.reserve_event(connection, wait))

    def remember_graph(self, workflow_id: str, version: str, graph: Mapping[str, Any]) -> None:
        values = {
            "workflow_id": workflow_id,
            "version": version,
            "graph": codec.dumps(dict(graph)),
        }
        key = ("workflow_id", "version")
        self.transactions.write(
            lambda connection: writing.put_row(connection, tables.graphs, values, key=key)
        )

    # Transactions and threads -------------------------------------------------------------------

    def atomic(self) -> AbstractContextManager[sa.Connection]:
        """Open a transaction that this thread's calls of the store join; give its connection."""
        return self.transactions.atomic()

    def refuse_open_transaction(self) -> None:
        if self.transactions.connection is not None:
            raise ConfigurationError(
                "An execution cannot be driven inside SqlAlchemyStore.atomic(): its checkpoints"
                " would be rolled back with the block. Leave the block first."
            )

    def on_commit(self, callback: Callable[[], object]) -> None:
        self.transactions.on_commit(callback)
