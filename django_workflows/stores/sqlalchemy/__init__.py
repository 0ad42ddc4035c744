"""SqlAlchemyStore: executions in any database that SQLAlchemy Core reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from django_workflows.core import codec
from django_workflows.core.chores import Chore
from django_workflows.core.decisions import Decide
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.presence import Presence
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
from django_workflows.stores.sqlalchemy.children import SqlAlchemyChildren
from django_workflows.stores.sqlalchemy.columns import row
from django_workflows.stores.sqlalchemy.driving import SqlAlchemyDriving
from django_workflows.stores.sqlalchemy.purging import SqlAlchemyPurging
from django_workflows.stores.sqlalchemy.reading import load, matching, oldest_waits, records
from django_workflows.stores.sqlalchemy.tables import metadata
from django_workflows.stores.sqlalchemy.transactions import Transactions, connect

__all__ = ["SqlAlchemyStore", "metadata"]


class SqlAlchemyStore(SqlAlchemyChildren, SqlAlchemyDriving, SqlAlchemyPurging):
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
        """
        Create the tables that are not there yet, with their indexes.

        Those that are there stay as they are: where an earlier version of this package made them,
        a migration from that version's ``metadata`` to this one's is up to you.
        """
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            metadata.create_all(connection)
            connection.commit()

    # Executions and their history ---------------------------------------------------------------

    def create(self, execution: Execution, entries: Sequence[Entry] = ()) -> Execution:
        values, history = row(execution), writing.rows(entries)

        def write(connection: sa.Connection) -> Execution:
            created = writing.create_execution(connection, execution, values)
            if created is execution:
                writing.insert_rows(connection, tables.entries, history)
            return created

        return self.transactions.write(write)

    def save(self, execution: Execution) -> Execution:
        self._put(tables.executions, row(execution), key=("id",))
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
        # The fence is always written, so that there is something to write.
        values = row(execution, changed_fields(execution, previous)) | {"fence": fence}
        history, left = writing.rows(entries), writing.rows(chores)
        opened = [wait for wait in waits if wait.status == WaitStatus.OPEN]
        closed = [wait for wait in waits if wait.status != WaitStatus.OPEN]
        new_waits = writing.opened_rows(opened, fence)

        def write(connection: sa.Connection) -> None:
            guard = {"id": execution.id, "fence": fence}
            if not writing.update_row(connection, tables.executions, values, **guard):
                raise StaleExecution(execution.id, fence)
            writing.insert_rows(connection, tables.entries, history)
            writing.insert_rows(connection, tables.waits, new_waits)
            for wait in closed:
                writing.update_row(connection, tables.waits, {"status": wait.status}, id=wait.id)
            writing.insert_rows(connection, tables.chores, left)

        self.transactions.write(write)

    def transition(self, execution_id: str, decide: Decide) -> Execution:
        def write(connection: sa.Connection) -> Execution:
            stored = load(connection, execution_id, lock=True)
            known = records(connection, Wait, oldest_waits(execution_id=execution_id))
            change = decide(stored, known)
            writing.write_drafts(connection, [writing.Draft.of(change, stored, known)])
            return change.execution

        return self.transactions.write(write)

    # Events, chores, presence and versions ------------------------------------------------------

    def add_event(self, event: InboxEvent, chore: Chore | None = None) -> InboxEvent:
        values = row(event) | {"topic": event.topic}
        left = [] if chore is None else [row(chore)]

        def write(connection: sa.Connection) -> InboxEvent:
            if not writing.insert_new_rows(connection, tables.events, [values]):
                is_it = matching(tables.events, id=event.id)
                return next(iter(records(connection, InboxEvent, is_it)), event)
            writing.insert_rows(connection, tables.chores, left)
            return event

        return self.transactions.write(write)

    def finish_chore(self, chore_id: str) -> None:
        self._delete(tables.chores, chore_id)

    def announce(self, presence: Presence) -> None:
        self._put(tables.presences, row(presence), key=("id",))

    def dismiss(self, presence_id: str) -> None:
        self._delete(tables.presences, presence_id)

    def remember_graph(self, workflow_id: str, version: str, graph: Mapping[str, Any]) -> None:
        values = {
            "workflow_id": workflow_id,
            "version": version,
            "graph": codec.dumps(dict(graph)),
        }
        self._put(tables.graphs, values, key=("workflow_id", "version"))

    def _put(self, table: sa.Table, values: writing.Values, key: Sequence[str]) -> None:
        self.transactions.write(lambda connection: writing.put_row(connection, table, values, key))

    def _delete(self, table: sa.Table, key: str) -> None:
        gone = sa.delete(table).filter_by(id=key)
        self.transactions.write(lambda connection: connection.execute(gone))

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
