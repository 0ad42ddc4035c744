"""How OrmStore's errors and transactions differ from those of the connection below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import TracebackType
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from django.db import InterfaceError, OperationalError, ProgrammingError, connections
from django.db.transaction import Atomic

from django_workflows.exceptions import ConfigurationError, StoreUnavailable

P = ParamSpec("P")
R = TypeVar("R")


class UsesDatabase(Protocol):
    """What has the alias of a database."""

    using: str


S = TypeVar("S", bound=UsesDatabase)


#: How databases say that a table is not there.
_NO_TABLE = re.compile("no such table|does not exist|doesn't exist")


@contextmanager
def answering(using: str) -> Iterator[None]:
    """Raise StoreUnavailable where the database does not answer, ConfigurationError unmigrated."""
    try:
        yield
    except (InterfaceError, OperationalError, ProgrammingError) as error:
        reason = str(error).strip()
        if "django_workflows_" in reason and _NO_TABLE.search(reason):
            raise ConfigurationError(
                f"The database {using!r} lacks a table of this app: {reason}."
                f" Has `manage.py migrate --database {using}` been run?"
            ) from error
        if isinstance(error, ProgrammingError):
            raise
        # A worker has no end of a request at which Django would look after a dead connection.
        connections[using].close_if_unusable_or_obsolete()
        raise StoreUnavailable(f"OrmStore(using={using!r})", reason) from error


def answers(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Return ``method``, its whole body under answering()."""

    @wraps(method)
    def call(store: S, /, *args: P.args, **options: P.kwargs) -> R:
        with answering(store.using):
            return method(store, *args, **options)

    return call


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
