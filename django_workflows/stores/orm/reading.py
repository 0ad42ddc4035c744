"""What OrmStore reads: queries of Django's ORM, each of which finds its rows by an index."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, Q, QuerySet
from django.utils.connection import ConnectionDoesNotExist

from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.ids import canonical
from django_workflows.core.store import Due, DueReason, Store
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import ConfigurationError, ExecutionNotFound
from django_workflows.stores.orm.connection import answers

if TYPE_CHECKING:
    from django_workflows.models import (
        WorkflowEntry,
        WorkflowEvent,
        WorkflowExecution,
        WorkflowVersion,
        WorkflowWait,
    )


class OrmReading(Store):
    """The reading half of OrmStore."""

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

    # Executions and their history ---------------------------------------------------------------

    @answers
    def load(self, execution_id: str) -> Execution:
        return self._row(self._executions, execution_id).to_core()

    @answers
    def find(
        self,
        workflow_id: str | None = None,
        status: ExecutionStatus | str | None = None,
        limit: int = 100,
        *,
        parent: str | None = None,
        subject: str | None = None,
    ) -> list[Execution]:
        rows = self._newest(workflow_id=workflow_id, status=status, subject=subject)
        if parent is not None:
            known = canonical(parent)
            rows = rows.filter(Q(parent=known)) if known else rows.none()
        return [row.to_core() for row in rows[:limit]]

    @answers
    def execution_ids(
        self,
        workflow_id: str | None = None,
        status: ExecutionStatus | str | None = None,
        limit: int = 1000,
    ) -> list[str]:
        rows = self._newest(workflow_id=workflow_id, status=status)
        ids: Any = rows.values_list("id", flat=True)[:limit]
        return list(ids)

    @answers
    def entries(self, execution_id: str) -> list[Entry]:
        rows = self._entries.filter(Q(execution_id=canonical(execution_id))).order_by("id")
        return [row.to_core() for row in rows]

    # Waits --------------------------------------------------------------------------------------

    @answers
    def waits(self, execution_id: str, *, status: WaitStatus | None = None) -> list[Wait]:
        rows = self._waits.filter(Q(execution_id=canonical(execution_id)), **_given(status=status))
        return [row.to_core() for row in rows.order_by("opened_at", "id")]

    @answers
    def find_waits(
        self, *, kind: WaitKind | None = None, key: str | None = None, limit: int = 100
    ) -> list[Wait]:
        rows = self._waits.filter(status=WaitStatus.OPEN, **_given(kind=kind, key=key))
        return [row.to_core() for row in rows.order_by("opened_at", "id")[:limit]]

    @answers
    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        pending = self._executions.filter(status=ExecutionStatus.PENDING)
        running = self._executions.filter(status=ExecutionStatus.RUNNING)
        ended = running.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=now))
        late = self._executions.filter(status=ExecutionStatus.HALTED, deadline_at__lte=now)
        awake = self._waits.filter(status=WaitStatus.OPEN, wake_at__lte=now)
        listed: dict[DueReason, Any] = {
            DueReason.PENDING: pending.order_by("-priority", "created_at"),
            DueReason.EXPIRED: ended.order_by(F("lease_expires_at").asc(nulls_first=True)),
            DueReason.DEADLINE: late.order_by("deadline_at"),
        }
        executions = [
            Due(reason=reason, execution_id=found)
            for reason, rows in listed.items()
            for found in rows.values_list("id", flat=True)[:limit]
        ]
        waits: Any = awake.order_by("wake_at").values_list("execution_id", "id")[:limit]
        return executions + [
            Due(reason=DueReason.WAIT, execution_id=execution_id, wait_id=wait_id)
            for execution_id, wait_id in waits
        ]

    @answers
    def graph(self, workflow_id: str, version: str) -> dict[str, Any] | None:
        rows = self._versions.filter(workflow_id=workflow_id, version=version)
        row = rows.first()
        return None if row is None else dict(row.graph)

    # Rows ---------------------------------------------------------------------------------------

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
    def _versions(self) -> QuerySet[WorkflowVersion]:
        return self._rows("WorkflowVersion")

    def _rows(self, model: str) -> QuerySet[Any]:
        # By name, and late: a store may be built before the app registry is ready.
        return QuerySet(apps.get_model("django_workflows", model), using=self.using)

    def _row(self, rows: QuerySet[WorkflowExecution], execution_id: str) -> WorkflowExecution:
        """Return the execution's row among ``rows``. Raise ExecutionNotFound."""
        known = canonical(execution_id)
        row = rows.order_by("id").filter(id=known).first() if known else None
        if row is None:
            raise ExecutionNotFound(execution_id)
        return row

    def _known(self, execution: Execution) -> WorkflowExecution | None:
        """Return the row that stands in the way of a new one, where it can be seen."""
        row = self._executions.order_by("id").filter(id=execution.id).first()
        if row is not None or execution.idempotency_key is None:
            return row
        key = {"workflow_id": execution.workflow_id, "idempotency_key": execution.idempotency_key}
        # At most one, and asked without an order, which might be taken for the index to read.
        return next(iter(self._executions.order_by().filter(**key)), None)

    def _oldest_untaken(self, topic: str) -> WorkflowEvent | None:
        """Return the event to give to a wait whose key is ``topic``: a name, a colon and a key."""
        # Either may have colons itself, so each of them may be the one in between.
        words = topic.split(":")
        asked = Q(pk__in=[])
        for place in range(1, len(words)):
            asked |= Q(name=":".join(words[:place]), key=":".join(words[place:]))
        return self._events.filter(asked, taken_by=None).order_by("sent_at", "id").first()

    def _newest(self, **wanted: Any) -> QuerySet[WorkflowExecution]:
        return self._executions.filter(**_given(**wanted)).order_by("-created_at", "-id")


def _given(**wanted: Any) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if value is not None}
