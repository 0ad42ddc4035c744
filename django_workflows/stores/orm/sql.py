"""
The statements of OrmStore that the ORM cannot say, or not in one round trip.

A *guarded* write is a guard, which has to hit a row (its fence still holds, its id is not there
yet), and the rest, which is written only then. PostgreSQL takes both as one statement; elsewhere
they are a transaction.
"""

# ruff: noqa: S608  What is put together are names of tables and columns; values are parameters.

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.records import Record
from django_workflows.fields import TypedJSONField

if TYPE_CHECKING:
    from django_workflows.models import Mirror

#: How MySQL and MariaDB number a duplicate key.
DUPLICATE_KEY = 1062

#: In one statement with its guard, a write asks whether that hit.
IF_HIT = "EXISTS (SELECT 1 FROM guard)"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its parameters, values as the database takes them."""

    sql: str
    params: Sequence[Any]

    def execute(self, connection: BaseDatabaseWrapper) -> bool:
        """Execute it and say whether it wrote a row; where a key is taken, it did not."""
        with connection.cursor() as cursor:
            try:
                cursor.execute(self.sql, self.params)
            except IntegrityError as error:
                if error.args[0] != DUPLICATE_KEY:
                    raise
                return False
            return bool(cursor.rowcount)


def write_guarded(
    connection: BaseDatabaseWrapper, guard: Statement, rest: Sequence[Statement]
) -> bool:
    """Write all of it and return True, or nothing and return False where ``guard`` misses."""
    if not rest:
        return guard.execute(connection)
    if connection.vendor == "postgresql":
        return _write_as_one(connection, guard, rest)
    # Joins an open transaction as it is: whoever opened it undoes it.
    with transaction.atomic(using=connection.alias, savepoint=False):
        if not guard.execute(connection):
            return False
        for statement in rest:
            statement.execute(connection)
        return True


def _write_as_one(
    connection: BaseDatabaseWrapper, guard: Statement, rest: Sequence[Statement]
) -> bool:
    parts = [f"guard AS ({guard.sql} RETURNING 1)"]
    parts += [f"part{n} AS ({statement.sql})" for n, statement in enumerate(rest)]
    params = [value for statement in (guard, *rest) for value in statement.params]
    with connection.cursor() as cursor:
        cursor.execute(f"WITH {', '.join(parts)} SELECT count(*) FROM guard", params)
        return bool(cursor.fetchone()[0])


class Table:
    """Says how the records of one model are written, their values prepared by its fields."""

    def __init__(self, model: type[Mirror], connection: BaseDatabaseWrapper) -> None:
        quote = connection.ops.quote_name
        self.name = quote(model._meta.db_table)
        self.fields = model.mirrored()
        self.columns = {name: quote(field.column or name) for name, field in self.fields.items()}
        self.is_postgres = connection.vendor == "postgresql"
        listed = ", ".join(self.columns.values())
        self._into = f"INSERT INTO {self.name} ({listed})"
        self._marks = ", ".join(self._mark(name, connection) for name in self.fields)

    def differing(self, record: Record, previous: Record | None) -> list[str]:
        """Return the names of the fields in which ``record`` differs from ``previous``."""
        if previous is None:
            return list(self.fields)
        # Of stored values, equal ones may differ in type: 1, 1.0 and True.
        return [
            name
            for name, field in self.fields.items()
            if (now := getattr(record, name)) is not (before := getattr(previous, name))
            and (isinstance(field, TypedJSONField) or now != before)
        ]

    def insert(self, connection: BaseDatabaseWrapper, record: Record) -> Statement:
        """Return what adds ``record``, and hits nothing where its id or key is there already."""
        # MySQL's INSERT IGNORE would ignore what is too long as well; see Statement.execute().
        unless_there = "" if connection.vendor == "mysql" else " ON CONFLICT DO NOTHING"
        return Statement(
            f"{self._into} VALUES ({self._marks}){unless_there}",
            self._row(connection, record),
        )

    def insert_all(
        self, connection: BaseDatabaseWrapper, records: Sequence[Record], *, guarded: bool
    ) -> Iterator[Statement]:
        """Yield what adds ``records`` in their order."""
        # SQLite takes only so many parameters at once.
        most = connection.features.max_query_params
        size = most // len(self.fields) if most else max(len(records), 1)
        for start in range(0, len(records), size):
            batch = records[start : start + size]
            rows = "VALUES " + ", ".join([f"({self._marks})"] * len(batch))
            if guarded and self.is_postgres:
                rows = f"SELECT * FROM ({rows}) AS given WHERE {IF_HIT}"
            params = [value for record in batch for value in self._row(connection, record)]
            yield Statement(f"{self._into} {rows}", params)

    def insert_below(
        self, connection: BaseDatabaseWrapper, record: Record, owner: Table, owner_id: str
    ) -> Statement:
        """Return what adds ``record``, and hits nothing where ``owner`` has no row ``owner_id``."""
        matched, params = owner._where(connection, {"id": owner_id})
        return Statement(
            f"{self._into} SELECT {self._marks} FROM {owner.name} WHERE {matched}",
            [*self._row(connection, record), *params],
        )

    def update(
        self,
        connection: BaseDatabaseWrapper,
        record: Record,
        names: Sequence[str],
        *,
        where: Mapping[str, Any],
        guarded: bool = False,
    ) -> Statement:
        """Return what writes the fields ``names`` of ``record`` to the rows ``where`` finds."""
        written = ", ".join(f"{self.columns[name]} = %s" for name in names)
        values = [self.value(connection, name, getattr(record, name)) for name in names]
        matched, params = self._where(connection, where)
        if guarded and self.is_postgres:
            matched = f"{matched} AND {IF_HIT}"
        return Statement(f"UPDATE {self.name} SET {written} WHERE {matched}", values + params)

    def value(self, connection: BaseDatabaseWrapper, name: str, value: Any) -> Any:
        """Return ``value`` of the field ``name`` as the database takes it."""
        return self.fields[name].get_db_prep_save(value, connection=connection)

    def _row(self, connection: BaseDatabaseWrapper, record: Record) -> list[Any]:
        return [self.value(connection, name, getattr(record, name)) for name in self.fields]

    def _where(
        self, connection: BaseDatabaseWrapper, where: Mapping[str, Any]
    ) -> tuple[str, list[Any]]:
        matched = " AND ".join(f"{self.columns[name]} = %s" for name in where)
        return matched, [self.value(connection, name, value) for name, value in where.items()]

    def _mark(self, name: str, connection: BaseDatabaseWrapper) -> str:
        if not self.is_postgres:
            return "%s"
        # PostgreSQL guesses types from a list of rows, where NULL is text. No length: a cast to
        # varchar(20) cuts in silence what an assignment refuses.
        kind = self.fields[name].rel_db_type(connection) or ""
        return f"%s::{kind.partition('(')[0]}"


_CLAIM = """
UPDATE {table} SET status = %s, lease_owner = %s, lease_expires_at = %s, updated_at = %s,
started_at = COALESCE(started_at, %s), fence = fence + 1, claims = claims + 1
WHERE id = %s AND (status = %s
OR (status = %s AND (lease_expires_at IS NULL OR lease_expires_at < %s)))
"""


def claim(
    table: Table,
    connection: BaseDatabaseWrapper,
    execution_id: str,
    *,
    owner: str,
    now: datetime,
    until: datetime,
) -> Statement:
    """Return what takes the lease of an execution that is pending, or whose lease has ended."""
    values = [
        ("status", ExecutionStatus.RUNNING),
        ("lease_owner", owner),
        ("lease_expires_at", until),
        ("updated_at", now),
        ("started_at", now),
        ("id", execution_id),
        ("status", ExecutionStatus.PENDING),
        ("status", ExecutionStatus.RUNNING),
        ("lease_expires_at", now),
    ]
    params = [table.value(connection, name, value) for name, value in values]
    return Statement(_CLAIM.format(table=table.name), params)


def can_return_updated(connection: BaseDatabaseWrapper) -> bool:
    """Return whether an UPDATE may end in RETURNING. MariaDB knows that of INSERT alone."""
    return connection.vendor != "mysql" and connection.features.can_return_columns_from_insert
