"""The writes of SqlAlchemyStore, each inside a transaction that its caller has opened."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, delete, exc, insert, select, update

from django_workflows.core.execution import Execution
from django_workflows.core.records import Record
from django_workflows.core.waits import InboxEvent, Wait
from django_workflows.stores.sqlalchemy.reading import matching, records
from django_workflows.stores.sqlalchemy.tables import entries, events, executions, row, waits

Values = dict[str, Any]

_CREATE_ATTEMPTS = 3


def rows(written: Iterable[Record]) -> list[Values]:
    """Return a row for each record. Raise PayloadError where one cannot be kept."""
    return [row(record) for record in written]


def insert_rows(connection: Connection, table: Table, values: Sequence[Values]) -> None:
    """Insert ``values``, if there are any."""
    if values:
        connection.execute(insert(table), values)


def update_row(connection: Connection, table: Table, values: Values, **guard: Any) -> bool:
    """Write ``values`` into the row that is as ``guard``, and say whether there was one."""
    written = connection.execute(update(table).filter_by(**guard).values(values))
    return written.rowcount > 0


def put_row(connection: Connection, table: Table, values: Values, key: Sequence[str]) -> None:
    """Write ``values`` into the row with the same ``key``, or insert them."""
    guard = {name: values[name] for name in key}
    written = (
        update_row(connection, table, values, **guard)
        or insert_new_row(connection, table, values)
        # Somebody inserted it in between.
        or update_row(connection, table, values, **guard)
    )
    if not written:
        insert_rows(connection, table, [values])


def insert_new_row(connection: Connection, table: Table, values: Values) -> bool:
    """Insert ``values``, and say whether nothing of the same unique value was in the way."""
    try:
        # Without the savepoint an error would end the transaction around it.
        with connection.begin_nested():
            connection.execute(insert(table), values)
    except exc.IntegrityError:
        return False
    return True


def create_execution(connection: Connection, execution: Execution, values: Values) -> Execution:
    """Insert ``values``, the row of ``execution``, and return it, or what is in its way."""
    for _ in range(_CREATE_ATTEMPTS):
        if insert_new_row(connection, executions, values):
            return execution
        known = _known(connection, execution)
        if known is not None:
            return known
        # It was deleted in between.
    insert_rows(connection, executions, [values])
    return execution


def _known(connection: Connection, execution: Execution) -> Execution | None:
    ways = [{"id": execution.id}]
    if execution.idempotency_key is not None:
        key = execution.idempotency_key
        ways.append({"workflow_id": execution.workflow_id, "idempotency_key": key})
    for way in ways:
        found = records(connection, Execution, matching(executions, **way))
        if found:
            return found[0]
    return None


def delete_execution(connection: Connection, execution_id: str) -> bool:
    """Delete the execution with all that hangs on it, and say whether it was there."""
    found = select(executions.c.id).filter_by(id=execution_id).with_for_update()
    generation = list(connection.scalars(found))
    doomed: list[str] = []
    while generation:
        doomed += generation
        children = select(executions.c.id).where(
            executions.c.parent.in_(generation), executions.c.id.not_in(doomed)
        )
        generation = list(connection.scalars(children))
    for column in (entries.c.execution_id, waits.c.execution_id, executions.c.id):
        connection.execute(delete(column.table).where(column.in_(doomed)))
    return bool(doomed)


def reserve_event(connection: Connection, wait: Wait) -> InboxEvent | None:
    """Give the oldest untaken event of the wait's topic to it, or find the one that it has."""
    given = matching(events, taken_by=wait.id)
    untaken = (
        select(events.c.id)
        .where(events.c.topic == wait.key, events.c.taken_by.is_(None))
        .order_by(events.c.sent_at, events.c.id)
        .limit(1)
    )
    while not (found := records(connection, InboxEvent, given)):
        event_id = connection.scalar(untaken)
        if event_id is None:
            return None
        # Somebody else may take it first, or give this wait another one; then look again.
        take = update(events).filter_by(id=event_id, taken_by=None).values(taken_by=wait.id)
        try:
            with connection.begin_nested():
                connection.execute(take)
        except exc.IntegrityError:
            continue
    return found[0]
