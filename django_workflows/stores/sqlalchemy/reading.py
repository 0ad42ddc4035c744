"""What SqlAlchemyStore looks up; writing is in the module of its name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, Select, Table, func, literal_column, or_, select

from django_workflows.core import codec
from django_workflows.core.chores import Chore
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.presence import Presence
from django_workflows.core.records import Record
from django_workflows.core.store import Store
from django_workflows.core.waits import InboxEvent, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.stores.sqlalchemy.columns import Moment, record
from django_workflows.stores.sqlalchemy.locking import locked
from django_workflows.stores.sqlalchemy.tables import (
    chores,
    entries,
    events,
    executions,
    graphs,
    presences,
    waits,
)
from django_workflows.stores.sqlalchemy.transactions import Transactions

R = TypeVar("R", bound=Record)

_UTC = select(literal_column("UTC_TIMESTAMP(6)", Moment()))

#: What asks a server for the time as it is, not as it was when the transaction began.
_CLOCKS: dict[str, Select[Any]] = {
    "postgresql": select(func.clock_timestamp(type_=Moment())),
    "mysql": _UTC,
    "mariadb": _UTC,
}


class SqlAlchemyReading(Store):
    """The part of SqlAlchemyStore that writes nothing."""

    transactions: Transactions
    engine: Engine

    # Executions and their history ---------------------------------------------------------------

    def load(self, execution_id: str) -> Execution:
        return self.transactions.read(lambda connection: load(connection, execution_id))

    def find(
        self,
        workflow_id: str | None = None,
        status: ExecutionStatus | str | None = None,
        limit: int = 100,
        *,
        parent: str | None = None,
        subject: str | None = None,
    ) -> list[Execution]:
        newest = _newest(
            select(executions),
            workflow_id=workflow_id,
            status=status,
            parent=parent,
            subject=subject,
        )
        return self._records(Execution, newest.limit(limit))

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
        newest = _newest(
            select(executions.c.id),
            workflow_id=workflow_id,
            status=status,
            parent=parent,
            parent_step=parent_step,
        )
        if except_steps:
            step = executions.c.parent_step
            newest = newest.where(or_(step.is_(None), step.not_in(except_steps)))
        return self.transactions.read(
            lambda connection: list(connection.scalars(newest.limit(limit)))
        )

    def entries(self, execution_id: str) -> list[Entry]:
        history = select(entries).where(entries.c.execution_id == execution_id)
        return self._records(Entry, history.order_by(entries.c.number))

    # Waits and events ---------------------------------------------------------------------------

    def waits(self, execution_id: str, *, status: WaitStatus | None = None) -> list[Wait]:
        return self._records(Wait, oldest_waits(execution_id=execution_id, status=status))

    def find_waits(
        self, *, kind: WaitKind | None = None, key: str | None = None, limit: int = 100
    ) -> list[Wait]:
        oldest = oldest_waits(status=WaitStatus.OPEN, kind=kind, key=key)
        return self._records(Wait, oldest.limit(limit))

    def next_event(self, topic: str) -> InboxEvent | None:
        untaken = matching(events, topic=topic).where(events.c.taken_by.is_(None))
        oldest = untaken.order_by(events.c.sent_at, events.c.id)
        return next(iter(self._records(InboxEvent, oldest.limit(1))), None)

    # Chores, presence and versions --------------------------------------------------------------

    def chores(self, now: datetime, limit: int = 100) -> list[Chore]:
        due = select(chores).where(chores.c.due_at <= now)
        return self._records(Chore, due.order_by(chores.c.due_at, chores.c.id).limit(limit))

    def present(self) -> list[Presence]:
        announced = select(presences).order_by(presences.c.started_at, presences.c.id)
        return self._records(Presence, announced)

    def now(self) -> datetime:
        clock = _CLOCKS.get(self.engine.dialect.name)
        if clock is None:
            return super().now()
        return self.transactions.read(
            lambda connection: cast("datetime", connection.scalars(clock).one())
        )

    def graph(self, workflow_id: str, version: str) -> dict[str, Any] | None:
        of_version = select(graphs.c.graph).filter_by(workflow_id=workflow_id, version=version)
        text = self.transactions.read(lambda connection: connection.scalar(of_version))
        return None if text is None else codec.loads(text)

    def _records(self, kind: type[R], query: Select[Any]) -> list[R]:
        return self.transactions.read(lambda connection: records(connection, kind, query))


def load(connection: Connection, execution_id: str, *, lock: bool = False) -> Execution:
    """Return the execution; with ``lock``, hold its row until the transaction ends."""
    query = matching(executions, id=execution_id)
    found = records(connection, Execution, locked(query) if lock else query)
    if not found:
        raise ExecutionNotFound(execution_id)
    return found[0]


def records(connection: Connection, kind: type[R], query: Select[Any]) -> list[R]:
    """Return the records that ``query`` selects."""
    return [record(kind, row) for row in connection.execute(query).mappings()]


def matching(table: Table, **wanted: Any) -> Select[Any]:
    """Return the query for the rows that are as ``wanted``; None is: any."""
    return select(table).where(*_conditions(table, wanted))


def oldest_waits(**wanted: Any) -> Select[Any]:
    """Return the query for the waits that are as ``wanted``, oldest first."""
    return matching(waits, **wanted).order_by(waits.c.opened_at, waits.c.id)


def _newest(query: Select[Any], **wanted: Any) -> Select[Any]:
    found = query.where(*_conditions(executions, wanted))
    return found.order_by(executions.c.created_at.desc(), executions.c.id.desc())


def _conditions(table: Table, wanted: dict[str, Any]) -> Iterable[Any]:
    return (table.c[name] == value for name, value in wanted.items() if value is not None)
