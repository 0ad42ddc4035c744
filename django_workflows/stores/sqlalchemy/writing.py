"""The writes of SqlAlchemyStore, each inside a transaction that its caller has opened."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

from sqlalchemy import Connection, Table, bindparam, delete, exc, insert, select, update

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change
from django_workflows.core.execution import Execution
from django_workflows.core.records import Record
from django_workflows.core.waits import InboxEvent, Wait
from django_workflows.exceptions import EventTaken
from django_workflows.stores.changes import changed_fields
from django_workflows.stores.sqlalchemy.columns import row
from django_workflows.stores.sqlalchemy.locking import locked
from django_workflows.stores.sqlalchemy.reading import matching, records
from django_workflows.stores.sqlalchemy.tables import chores, entries, events, executions, waits

T = TypeVar("T")
Values = dict[str, Any]

_CREATE_ATTEMPTS = 3

#: How many values one statement is given; databases take only so many.
_BATCH = 1000


def rows(written: Iterable[Record]) -> list[Values]:
    """Return a row for each record. Raise PayloadError where one cannot be kept."""
    return [row(record) for record in written]


def opened_rows(opened: Iterable[Wait], fence: int) -> list[Values]:
    """Return a row for each new wait of an execution that has ``fence``; see rows()."""
    return [row(wait) | {"fence": fence} for wait in opened]


def batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield ``values`` in parts that one statement can be given."""
    return (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))


def insert_rows(connection: Connection, table: Table, values: Sequence[Values]) -> None:
    """Insert ``values``, if there are any."""
    if values:
        connection.execute(insert(table), values)


def update_row(connection: Connection, table: Table, values: Values, **guard: Any) -> bool:
    """Write ``values`` into the row that is as ``guard``, and say whether there was one."""
    written = connection.execute(update(table).filter_by(**guard).values(values))
    return written.rowcount > 0


def update_rows(connection: Connection, table: Table, changed: Iterable[Values]) -> None:
    """Write each of ``changed`` into the row with its id; those of the same columns at one go."""
    alike: dict[tuple[str, ...], list[Values]] = defaultdict(list)
    for values in changed:
        names = tuple(name for name in values if name != "id")
        alike[names].append({"row_id": values["id"], **{name: values[name] for name in names}})
    for names, group in alike.items():
        if names:
            by_id = update(table).where(table.c.id == bindparam("row_id"))
            connection.execute(by_id, group)


def put_row(connection: Connection, table: Table, values: Values, key: Sequence[str]) -> None:
    """Write ``values`` into the row with the same ``key``, or insert them."""
    guard = {name: values[name] for name in key}
    written = (
        update_row(connection, table, values, **guard)
        or insert_new_rows(connection, table, [values])
        # Somebody inserted it in between.
        or update_row(connection, table, values, **guard)
    )
    if not written:
        insert_rows(connection, table, [values])


def insert_new_rows(connection: Connection, table: Table, values: Sequence[Values]) -> bool:
    """Insert ``values``, all or none; say whether nothing of a unique value was in the way."""
    try:
        # Without the savepoint an error would end the transaction around it.
        with connection.begin_nested():
            insert_rows(connection, table, values)
    except exc.IntegrityError:
        return False
    return True


# Executions -------------------------------------------------------------------------------------


def create_execution(connection: Connection, execution: Execution, values: Values) -> Execution:
    """Insert ``values``, the row of ``execution``, and return it, or what is in its way."""
    for _ in range(_CREATE_ATTEMPTS):
        if insert_new_rows(connection, executions, [values]):
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
    of = executions.c
    top = connection.execute(locked(select(of.parent).where(of.id == execution_id))).first()
    if top is None:
        return False
    doomed: dict[str, None] = {}
    level = [execution_id]
    while level:
        doomed.update(dict.fromkeys(level))
        # Held level by level, so that no driver adds to what is about to go.
        level = [
            child
            for batch in batches(level)
            for child in connection.scalars(
                locked(select(of.id).where(of.parent.in_(batch)).order_by(of.id))
            )
            if child not in doomed
        ]
    for batch in batches(list(doomed)):
        for column in (entries.c.execution_id, waits.c.execution_id, of.id):
            connection.execute(delete(column.table).where(column.in_(batch)))
    if connection.scalar(select(of.id).where(of.id == top.parent)) is not None:
        chore = Chore(kind=ChoreKind.MEET, execution_id=top.parent)
        insert_rows(connection, chores, [row(chore)])
    return True


# Changes ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The rows of a Change; made before any is written, because a value may be refused."""

    execution: Values  # its id, and what changes
    entries: list[Values]
    opened: list[Values]
    answered: list[Values]
    chores: list[Values]
    event: InboxEvent | None

    @classmethod
    def of(cls, change: Change, stored: Execution, known: Iterable[Wait]) -> Draft:
        """Return what ``change`` writes where ``stored`` and ``known`` are there already."""
        ids = {wait.id for wait in known}
        return cls(
            execution=row(change.execution, ["id", *changed_fields(change.execution, stored)]),
            entries=rows(change.entries),
            opened=opened_rows(
                (wait for wait in change.waits if wait.id not in ids), change.execution.fence
            ),
            answered=rows(wait for wait in change.waits if wait.id in ids),
            chores=rows(change.chores),
            event=change.event,
        )


def write_drafts(connection: Connection, drafts: Sequence[Draft]) -> None:
    """
    Write ``drafts``, each of another execution.

    Raise EventTaken, with nothing written, where an event was given away.
    """
    for draft in drafts:
        if draft.event is not None:
            _take(connection, draft.event)
    for table, inserted in (
        (entries, (draft.entries for draft in drafts)),
        (waits, (draft.opened for draft in drafts)),
        (chores, (draft.chores for draft in drafts)),
    ):
        insert_rows(connection, table, list(chain.from_iterable(inserted)))
    update_rows(connection, executions, [draft.execution for draft in drafts])
    update_rows(connection, waits, list(chain.from_iterable(draft.answered for draft in drafts)))


def _take(connection: Connection, event: InboxEvent) -> None:
    given = {"taken_by": event.taken_by}
    if not update_row(connection, events, given, id=event.id, taken_by=None):
        raise EventTaken(event.id)
