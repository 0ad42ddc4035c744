"""How OrmStore's errors and transactions differ from those of the connection below."""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    connections,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import Atomic

from django_workflows.exceptions import ConfigurationError, StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")


class UsesDatabase(Protocol):
    """What has the alias of a database."""

    using: str


S = TypeVar("S", bound=UsesDatabase)


#: How databases say that a table of this app is not there, or a column: that, not always with its
#: table. All statements of this store are its own.
_NO_TABLE = re.compile(
    "no such table.*django_workflows_|django_workflows_.*(does not|doesn't) exist"
    "|no such column|has no column named|Unknown column|column .* does not exist",
    re.DOTALL,
)

#: How they say that a transaction was undone so that another could go on: the SQLSTATE of
#: PostgreSQL for a deadlock and for a failure to serialize, MariaDB's number for a deadlock.
_UNDONE = {"40P01", "40001", 1213}

#: How they say that they went away: SQLSTATEs of PostgreSQL, numbers of MariaDB's client. Where
#: a connection just broke, psycopg has no SQLSTATE at all.
_GONE = {"57P01", "57P02", "57P03", 1053, 2002, 2003, 2006, 2013, 2055}

#: What a driver raises where the database does not answer, and for a table that is not there.
_ANSWERS = (InterfaceError, OperationalError, ProgrammingError)

#: How often a transaction that was undone for another's sake is tried.
ATTEMPTS = 3


def went_away(using: str, error: BaseException | None) -> bool:
    """Say whether ``error``, or one that it came of, tells that the connection ``using`` broke."""
    connection = connections[using]
    while error is not None and connection.errors_occurred:
        if isinstance(error, (InterfaceError, OperationalError)):
            cause = error.__cause__ or error
            state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
            if connection.vendor == "postgresql":
                return state is None or state[:2] == "08" or state in _GONE
            return bool(error.args) and error.args[0] in _GONE
        error = error.__cause__ or error.__context__
    return False


def is_quiet(connection: BaseDatabaseWrapper) -> bool:
    """
    Say, without asking it, whether the server has sent nothing since its last answer.

    It does where it hangs up: what comes unasked is its farewell, or the end of the stream. One
    that vanished silently, behind a firewall for instance, seems quiet.
    """
    descriptor = getattr(connection.connection, "fileno", None)  # SQLite's has none
    if descriptor is None or not hasattr(select, "poll"):  # as on Windows
        return connection.vendor == "sqlite"
    arrivals = select.poll()
    try:
        arrivals.register(descriptor(), select.POLLIN)
    except Exception:  # noqa: BLE001  A driver's own, where it knows the connection is closed.
        return False
    return not arrivals.poll(0)


def close_if_dead(connection: BaseDatabaseWrapper) -> None:
    """
    Close a connection that the server has closed, so that Django opens another.

    Not inside a transaction, which is lost with its connection.
    """
    if connection.connection is None or connection.in_atomic_block or connection.is_usable():
        return
    with suppress(DatabaseError):  # of one that is closed already
        connection.close()


def _refuse(using: str, error: DatabaseError | InterfaceError) -> None:
    """Raise for ``error`` what answering() says; a mistake of the statement's is the caller's."""
    reason = str(error).strip()
    if _NO_TABLE.search(reason):
        raise ConfigurationError(
            f"The database {using!r} lacks a table or a column of this app: {reason}."
            f" Has `manage.py migrate --database {using}` been run?"
        ) from error
    if isinstance(error, ProgrammingError):
        return
    # A worker has no end of a request at which Django would look after a dead connection.
    connections[using].close_if_unusable_or_obsolete()
    raise StoreUnavailable(f"OrmStore(using={using!r})", reason) from error


@contextmanager
def answering(using: str) -> Iterator[None]:
    """Raise StoreUnavailable where the database does not answer, ConfigurationError unmigrated."""
    try:
        yield
    except _ANSWERS as error:
        _refuse(using, error)
        raise


def answers(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Return ``method``, its whole body under answering()."""

    @wraps(method)
    def call(store: S, /, *args: P.args, **options: P.kwargs) -> R:
        try:
            return method(store, *args, **options)
        except _ANSWERS as error:
            _refuse(store.using, error)
            raise

    return call


def repeats(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """
    Return ``method`` as one that tries again where its transaction was undone for another's sake.

    Not inside a caller's transaction: that is undone as a whole, and the caller's to repeat.
    """

    @wraps(method)
    def call(store: S, /, *args: P.args, **options: P.kwargs) -> R:
        attempt = 1
        while True:
            try:
                return method(store, *args, **options)
            except OperationalError as error:
                is_last = attempt == ATTEMPTS or connections[store.using].in_atomic_block
                if is_last or not _was_undone(error):
                    raise
            attempt += 1

    return call


def _was_undone(error: OperationalError) -> bool:
    # psycopg 3 has it in one attribute, psycopg2 in another, MySQLdb in the arguments.
    driver = error.__cause__
    codes = {getattr(driver, "sqlstate", None), getattr(driver, "pgcode", None), *error.args[:1]}
    return not codes.isdisjoint(_UNDONE)


class StoreTransaction(Atomic):
    """A transaction whose own beginning and end are under answering(); its body is the user's."""

    using: str

    def __enter__(self) -> None:
        with answering(self.using):
            super().__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        with answering(self.using):
            super().__exit__(exc_type, exc_value, exc_tb)
