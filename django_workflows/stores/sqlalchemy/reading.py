"""What SqlAlchemyStore looks up; writing is in the module of its name."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, Table, select

from django_workflows.core import codec
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.records import Record
from django_workflows.core.store import Due, DueReason, Store
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.stores.sqlalchemy.tables import entries, executions, graphs, record, waits
from django_workflows.stores.sqlalchemy.transactions import Transactions

R = TypeVar("R", bound=Record)


class SqlAlchemyReading(Store):
    """The half of SqlAlchemyStore that writes nothing."""

    transactions: Transactions

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
    ) -> list[str]:
        newest = _newest(select(executions.c.id), workflow_id=workflow_id, status=status)
        return self.transactions.read(
            lambda connection: list(connection.scalars(newest.limit(limit)))
        )

    def entries(self, execution_id: str) -> list[Entry]:
        history = select(entries).where(entries.c.execution_id == execution_id)
        return self._records(Entry, history.order_by(entries.c.number))

    def waits(self, execution_id: str, *, status: WaitStatus | None = None) -> list[Wait]:
        return self._records(Wait, oldest_waits(execution_id=execution_id, status=status))

    def find_waits(
        self, *, kind: WaitKind | None = None, key: str | None = None, limit: int = 100
    ) -> list[Wait]:
        oldest = oldest_waits(status=WaitStatus.OPEN, kind=kind, key=key)
        return self._records(Wait, oldest.limit(limit))

    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        of, wait = executions.c, waits.c
        lease_ended = of.lease_expires_at.is_(None) | (of.lease_expires_at < now)
        pending = select(of.id).where(of.status == ExecutionStatus.PENDING).order_by(of.updated_at)
        expired = (
            select(of.id)
            .where(of.status == ExecutionStatus.RUNNING, lease_ended)
            .order_by(of.lease_expires_at)
        )
        late = (
            select(of.id)
            .where(of.status == ExecutionStatus.HALTED, of.deadline_at <= now)
            .order_by(of.deadline_at)
        )
        awake = (
            select(wait.execution_id, wait.id)
            .where(wait.status == WaitStatus.OPEN, wait.wake_at <= now)
            .order_by(wait.wake_at)
        )
        listed = {
            DueReason.PENDING: pending,
            DueReason.EXPIRED: expired,
            DueReason.WAIT: awake,
            DueReason.DEADLINE: late,
        }
        return self.transactions.read(
            lambda connection: [
                Due(reason=reason, execution_id=ids[0], wait_id=ids[1] if len(ids) > 1 else None)
                for reason, query in listed.items()
                for ids in connection.execute(query.limit(limit))
            ]
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
    found = records(connection, Execution, query.with_for_update() if lock else query)
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
