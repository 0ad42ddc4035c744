"""What every part of OrmStore stands on: its connection, its rows and its tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Model, QuerySet
from django.utils.connection import ConnectionDoesNotExist

from django_workflows.core.ids import canonical
from django_workflows.core.store import Store
from django_workflows.exceptions import ConfigurationError, ExecutionNotFound
from django_workflows.stores.orm.sql import Table

if TYPE_CHECKING:
    from django_workflows.models import (
        WorkflowChore,
        WorkflowEntry,
        WorkflowEvent,
        WorkflowExecution,
        WorkflowPresence,
        WorkflowVersion,
        WorkflowWait,
    )

M = TypeVar("M", bound=Model)

#: An id that no row has.
NOBODY = str(UUID(int=0))


@dataclass(frozen=True, slots=True)
class Tables:
    """What is written past the ORM."""

    executions: Table
    entries: Table
    waits: Table
    events: Table
    chores: Table
    presences: Table


class OrmRows(Store):
    """The rows of the database ``using``."""

    def __init__(self, *, using: str = DEFAULT_DB_ALIAS) -> None:
        super().__init__(using=using)
        self.using = using
        try:
            vendor = connections[using].vendor
        except ConnectionDoesNotExist as error:
            raise ConfigurationError(
                f"OrmStore: settings.DATABASES has no {using!r}, only"
                f" {', '.join(map(repr, connections))}. Set OPTIONS['using'] to one of them."
            ) from error
        # SQLite locks the whole file.
        self.concurrent_writers = vendor != "sqlite"

    @property
    def _connection(self) -> BaseDatabaseWrapper:
        # Asked each time: every thread has its own.
        return connections[self.using]

    @property
    def _executions(self) -> QuerySet[WorkflowExecution]:
        return self._rows("WorkflowExecution")

    @property
    def _entries(self) -> QuerySet[WorkflowEntry]:
        return self._rows("WorkflowEntry")

    @property
    def _waits(self) -> QuerySet[WorkflowWait]:
        return self._rows("WorkflowWait")

    @property
    def _events(self) -> QuerySet[WorkflowEvent]:
        return self._rows("WorkflowEvent")

    @property
    def _chores(self) -> QuerySet[WorkflowChore]:
        return self._rows("WorkflowChore")

    @property
    def _presences(self) -> QuerySet[WorkflowPresence]:
        return self._rows("WorkflowPresence")

    @property
    def _versions(self) -> QuerySet[WorkflowVersion]:
        return self._rows("WorkflowVersion")

    def _rows(self, model: str) -> QuerySet[Any]:
        # By name, and late: a store may be built before the app registry is ready.
        return QuerySet(apps.get_model("django_workflows", model), using=self.using)

    @cached_property
    def _tables(self) -> Tables:
        querysets: Sequence[QuerySet[Any]] = (
            *(self._executions, self._entries, self._waits),
            *(self._events, self._chores, self._presences),
        )
        return Tables(*(Table(rows.model, self._connection) for rows in querysets))

    def _row(self, rows: QuerySet[WorkflowExecution], execution_id: str) -> WorkflowExecution:
        """Return the execution's row among ``rows``. Raise ExecutionNotFound."""
        known = canonical(execution_id)
        row = rows.order_by("id").filter(id=known).first() if known else None
        if row is None:
            raise ExecutionNotFound(execution_id)
        return row

    # Locks --------------------------------------------------------------------------------------

    def _begin_writing(self) -> None:
        """
        Let nobody else write until the transaction ends, where the database has no row locks.

        On SQLite a transaction that reads before it writes may be refused when it comes to write,
        so that one begins with a write.
        """
        if self._connection.vendor == "sqlite":
            self._executions.filter(id=NOBODY).update(fence=F("fence"))

    def _lock(
        self, rows: QuerySet[M], *, skip: bool = False, of: Sequence[str] = ()
    ) -> QuerySet[M]:
        """
        Return ``rows`` such that whoever reads them locks them; ``skip``: those that are not.

        Only their own table's rows ``of`` a join, where the database can tell. Rows below them,
        which have their key as a foreign key, may be added meanwhile.
        """
        features = self._connection.features
        return rows.select_for_update(
            skip_locked=skip and features.has_select_for_update_skip_locked,
            of=of if features.has_select_for_update_of else (),
            no_key=features.has_select_for_no_key_update,
        )

    def _lock_first(self, rows: QuerySet[Any, Any], ids: Iterable[str], limit: int) -> list[Any]:
        """Lock the first ``limit`` of ``ids`` that are among ``rows`` and in nobody's hands."""
        left = iter(ids)
        locked: list[Any] = []
        while some := list(islice(left, limit - len(locked))):
            locked += self._lock(rows.filter(id__in=some), skip=True)
        return locked

    def _is_locked(self, execution_id: str, **facts: Any) -> bool:
        """Lock an execution by its id, inside a transaction; say whether it is there like that."""
        self._begin_writing()
        known = canonical(execution_id) or NOBODY
        rows = self._executions.filter(id=known, **facts).order_by("id")
        return bool(self._lock(rows).values_list("id"))
