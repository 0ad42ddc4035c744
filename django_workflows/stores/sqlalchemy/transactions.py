"""Transactions of SqlAlchemyStore: one for each thread, tried again where the database says so."""

from __future__ import annotations

import itertools
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, exc, make_url

from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from django_workflows.stores.sqlalchemy.tables import metadata

T = TypeVar("T")

#: How often a transaction is tried that met others on its way.
ATTEMPTS = 10

#: Deadlocks and failed serializations: PostgreSQL's SQLSTATEs, and numbers of MariaDB and MySQL.
_COLLISIONS = {"40001", "40P01", 1020, 1205, 1213}

_UNAVAILABLE = (exc.OperationalError, exc.InterfaceError)

#: How many seconds SQLite may wait for another writer.
_SQLITE_TIMEOUT = 20


def connect(url: str | URL | None, engine: Engine | None, options: dict[str, Any]) -> Engine:
    """Return an engine for ``url``, or the given one, set to read what others have committed."""
    if url is not None and engine is None:
        engine = create_engine(url, **_defaults(make_url(url)) | options)
    elif engine is not None and url is None:
        if engine.dialect.name != "sqlite":
            engine = engine.execution_options(isolation_level="READ COMMITTED")
    else:
        raise ConfigurationError("SqlAlchemyStore takes a url or an engine.")
    if engine.dialect.name == "sqlite" and engine.url.database in {None, "", ":memory:"}:
        raise ConfigurationError(
            "SqlAlchemyStore needs SQLite in a file: in memory each thread would have a database of"
            " its own. Use MemoryStore."
        )
    return engine


def _defaults(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _SQLITE_TIMEOUT}}
    # Ping, because a connection that broke during a commit leaves open whether it was one.
    return {"isolation_level": "READ COMMITTED", "pool_pre_ping": True}


@dataclass(frozen=True, slots=True)
class _Transaction:
    connection: Connection
    is_atomic: bool  # an atomic() block, not one method of the store
    callbacks: list[Callable[[], object]] = field(default_factory=list)


class Transactions:
    """Runs work in transactions of ``engine``; inside atomic(), all of a thread's in the one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pid = os.getpid()
        self._local = threading.local()

    @property
    def connection(self) -> Connection | None:
        """Return the connection of this thread's open transaction, or None."""
        transaction = self._current
        return transaction.connection if transaction else None

    def read(self, work: Callable[[Connection], T]) -> T:
        """Return what ``work(connection)`` returns."""
        return self._run(work, begin=self._connect)

    def write(self, work: Callable[[Connection], T]) -> T:
        """See read(). Undo what ``work`` wrote if it raises; call it anew after a deadlock."""
        return self._run(work, begin=self._begin)

    @contextmanager
    def atomic(self) -> Iterator[Connection]:
        """Open the transaction that all other methods join; inside another one, a savepoint."""
        outer = self._current
        if outer is not None:
            with self._savepoint(outer):
                yield outer.connection
            return
        with self._translated():
            transaction = self._begin(is_atomic=True)
        # What the block raises is its own affair, even where it comes from the database.
        with self._opened(transaction) as connection:
            yield connection
            with self._translated():
                connection.commit()
        _call(transaction.callbacks)

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once the open transaction is committed; outside of one, now."""
        transaction = self._current
        if transaction is None:
            callback()
        else:
            transaction.callbacks.append(callback)

    @property
    def _current(self) -> _Transaction | None:
        if os.getpid() != self._pid:
            # A forked child must not talk through its parent's connections, nor close them.
            self._engine.dispose(close=False)
            self._pid, self._local = os.getpid(), threading.local()
        transaction: _Transaction | None = getattr(self._local, "transaction", None)
        return transaction

    def _run(self, work: Callable[[Connection], T], begin: Callable[[], _Transaction]) -> T:
        current = self._current
        if current is not None and not current.is_atomic:
            # The method that opened it knows what to do with the database's errors.
            return work(current.connection)
        with self._translated():
            if current is not None:
                return work(current.connection)
            for attempt in itertools.count(1):  # pragma: no branch  it has no end
                try:
                    transaction = begin()
                    with self._opened(transaction) as connection:
                        result = work(connection)
                        connection.commit()
                    break
                except exc.OperationalError as error:
                    if attempt == ATTEMPTS or not _is_collision(error):
                        raise
                    time.sleep(secrets.SystemRandom().uniform(0, 0.01 * attempt))
        _call(transaction.callbacks)
        return result

    def _connect(self) -> _Transaction:
        return _Transaction(self._engine.connect(), is_atomic=False)

    def _begin(self, *, is_atomic: bool = False) -> _Transaction:
        connection = self._engine.connect()
        if connection.dialect.name == "sqlite":
            # Without it two readers that both go on to write are a deadlock.
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except BaseException:
                connection.close()
                raise
        return _Transaction(connection, is_atomic=is_atomic)

    @contextmanager
    def _opened(self, transaction: _Transaction) -> Iterator[Connection]:
        """Make the transaction this thread's own; roll back what is not committed in the end."""
        self._local.transaction = transaction
        try:
            with transaction.connection as connection:
                yield connection
        finally:
            self._local.transaction = None

    @contextmanager
    def _savepoint(self, outer: _Transaction) -> Iterator[None]:
        callbacks = len(outer.callbacks)
        try:
            with outer.connection.begin_nested():
                yield
        except BaseException:
            del outer.callbacks[callbacks:]
            raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            if _lacks_tables(error):
                raise ConfigurationError(
                    f"SqlAlchemyStore lacks a table or a column in {self._engine.url!r}"
                    f" ({error.orig}): call its create_tables(), or migrate to its metadata."
                ) from error
            if not isinstance(error, _UNAVAILABLE):
                raise
            raise StoreUnavailable("SqlAlchemyStore", error.orig) from error
        except exc.TimeoutError as error:
            raise StoreUnavailable("SqlAlchemyStore", error) from error


def _call(callbacks: list[Callable[[], object]]) -> None:
    for callback in callbacks:
        callback()


def _is_collision(error: exc.OperationalError) -> bool:
    original = error.orig
    codes = {getattr(original, "sqlstate", None), getattr(original, "pgcode", None)}
    codes.update(original.args[:1] if original else ())
    return not codes.isdisjoint(_COLLISIONS)


#: How databases say that a table, or a column of it, is not there.
_ABSENT = re.compile("no such (table|column)|has no column|not exist|doesn't exist|Unknown column")


def _lacks_tables(error: exc.DBAPIError) -> bool:
    text = f"{error.orig} in {error.statement}"
    is_absent = _ABSENT.search(str(error.orig)) is not None
    return is_absent and any(table in text for table in metadata.tables)
