"""
Statements that PostgreSQL prepares once a connection: each text is parsed and planned once.

A checkpoint's text hardly ever differs from the last one's, and parsing and planning it takes as
long as doing it. Only with psycopg 3, and only where nothing stands between: a pooler may hand the
next transaction to another server, on which the same name means another statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast
from weakref import WeakKeyDictionary

from django.db.backends.base.base import BaseDatabaseWrapper

#: How often a text is executed on a connection before it is prepared, which is a round trip more.
BEFORE = 1

#: Of each of psycopg's connections, whether it leads to the server itself.
_direct: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def read_rows(
    connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any], *, again: bool = True
) -> list[tuple[Any, ...]]:
    """
    Execute ``sql``, prepared where that can be, and return the rows that it reads.

    Where it does not come ``again``, or wants another plan each time, it is not prepared. It has to
    name the columns that it reads: a server refuses ``*`` once a table has others.
    """
    # As connection.cursor() does, which would make a cursor that puts the values into the text.
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    raw: Any = connection.connection
    if not _may_prepare(connection, raw):
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
    from psycopg import Cursor  # nobody else needs the driver

    connection.validate_thread_sharing()
    before, raw.prepare_threshold = raw.prepare_threshold, BEFORE if again else None
    try:
        with connection.make_cursor(cast("Any", Cursor(raw))) as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
    finally:
        raw.prepare_threshold = before


def _may_prepare(connection: BaseDatabaseWrapper, raw: Any) -> bool:
    if not hasattr(raw, "prepare_threshold"):
        return False  # another driver, another database
    if connection.queries_logged:
        return False  # Django's own cursor shows them with their values
    # How Django has it said that there is a pooler.
    if connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS"):
        return False
    known = _direct.get(raw)
    if known is None:
        with connection.wrap_database_errors:
            known = _direct[raw] = _is_direct(raw)
    return known


def _is_direct(raw: Any) -> bool:
    """Say whether the process that greeted us is the one that answers: a pooler greets itself."""
    cursor = raw.cursor()
    cursor.execute("SELECT pg_backend_pid()")
    (answering,) = cursor.fetchone()
    return bool(answering == raw.info.backend_pid)
