"""How rows are held until a transaction ends; SQLite, without row locks, holds the whole file."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Dialect, Select

#: The first versions of MariaDB and MySQL with SKIP LOCKED.
_MARIADB, _MYSQL = (10, 6), (8, 0, 1)


def locked(query: Select[Any], *, passing_over: Dialect | None = None) -> Select[Any]:
    """
    Return ``query`` holding the rows that it finds.

    It waits for rows that others hold, unless it is given a dialect that can pass them over.
    """
    skips = passing_over is not None and can_pass_over(passing_over)
    # The key stays: on PostgreSQL, no foreign key of a user's table has to wait.
    return query.with_for_update(key_share=True, skip_locked=skips)


def can_pass_over(dialect: Dialect) -> bool:
    """Return whether the database knows SKIP LOCKED; asked of a dialect that has connected."""
    if dialect.name not in {"mysql", "mariadb"}:
        return dialect.name == "postgresql"
    version: tuple[int, ...] = getattr(dialect, "server_version_info", None) or ()
    return version >= (_MARIADB if getattr(dialect, "is_mariadb", False) else _MYSQL)
