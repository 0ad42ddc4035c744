"""Threads that know about Django's database connections."""

from __future__ import annotations

from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLiteWrapper

from django_workflows.core.engine.threads import Threads


class DjangoThreads(Threads):
    """
    Each thread has connections of its own, closed when it is done.

    Inside a transaction (a TestCase's), or on an SQLite database in memory, another thread would
    not see what this one sees: there branches run in turn, and timeouts are noticed at the end.
    """

    def allowed(self) -> bool:
        """See Threads.allowed()."""
        return not any(
            connection.in_atomic_block
            or (isinstance(connection, SQLiteWrapper) and connection.is_in_memory_db())
            for connection in connections.all(initialized_only=True)
        )

    def clean_up(self) -> None:
        """See Threads.clean_up()."""
        connections.close_all()
