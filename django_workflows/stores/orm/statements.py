"""
The statements of OrmStore that the ORM cannot say, or not in one round trip.

A *guarded* write is a guard, which has to hit a row (its fence still holds, its id is not there
yet), and the rest, which is written only then. PostgreSQL takes both as one statement; elsewhere
they are a transaction.
"""

# ruff: noqa: S608  What is put together are names of tables and columns; values are parameters.

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_workflows.stores.orm.prepared import read_rows

#: How MySQL and MariaDB number a duplicate key.
DUPLICATE_KEY = 1062

#: In one statement with its guard, a write asks whether that hit.
IF_HIT = "EXISTS (SELECT 1 FROM guard)"


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with its parameters, values as the database takes them."""

    sql: str
    params: Sequence[Any]

    def execute(self, connection: BaseDatabaseWrapper) -> int:
        """Execute it and return how many rows it wrote: none where MariaDB finds a key taken."""
        with connection.cursor() as cursor:
            try:
                cursor.execute(self.sql, self.params)
            except IntegrityError as error:
                if error.args[0] != DUPLICATE_KEY:
                    raise
                return 0
            return int(cursor.rowcount)

    def read_row(self, connection: BaseDatabaseWrapper) -> tuple[Any, ...]:
        """Execute it and return the one row that it reads."""
        with connection.cursor() as cursor:
            cursor.execute(self.sql, self.params)
            return tuple(cursor.fetchone())


def write_guarded(
    connection: BaseDatabaseWrapper, guard: Statement, rest: Sequence[Statement]
) -> bool:
    """Write all of it and return True, or nothing and return False where ``guard`` misses."""
    if connection.vendor == "postgresql":
        return _write_as_one(connection, guard, rest)
    if not rest:
        return bool(guard.execute(connection))
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
    sql = f"WITH {', '.join(parts)} SELECT count(*) FROM guard"
    ((hits,),) = read_rows(connection, sql, params)
    return bool(hits)


def write_all(connection: BaseDatabaseWrapper, statements: Sequence[Statement]) -> None:
    """Write to rows that this transaction has locked: on PostgreSQL in one round trip."""
    if connection.vendor == "postgresql" and len(statements) > 1:
        first, *rest = statements
        _write_as_one(connection, first, rest)
        return
    for statement in statements:
        statement.execute(connection)


def can_return_updated(connection: BaseDatabaseWrapper) -> bool:
    """Return whether an UPDATE may end in RETURNING. MariaDB knows that of INSERT alone."""
    return connection.vendor != "mysql" and connection.features.can_return_columns_from_insert
