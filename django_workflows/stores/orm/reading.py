"""What OrmStore reads: queries of Django's ORM, each of which finds its rows by an index."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db.models import Q, QuerySet

from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.ids import canonical
from django_workflows.core.store import Pending
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.stores.orm.connection import answers
from django_workflows.stores.orm.prepared import read_rows
from django_workflows.stores.orm.rows import OrmRows

if TYPE_CHECKING:
    from django_workflows.models import WorkflowExecution

_PENDING = [field.name for field in fields(Pending)]


class OrmReading(OrmRows):
    """The lists of OrmStore."""

    # Executions and their history ---------------------------------------------------------------

    @answers
    def load(self, execution_id: str) -> Execution:
        connection, table = self._connection, self._tables.executions
        known = canonical(execution_id)
        if known is None or connection.vendor != "postgresql":
            return self._row(self._executions, execution_id).to_core()
        sql = f"SELECT {table.listed} FROM {table.name} WHERE id = %s"  # noqa: S608  names
        rows = read_rows(connection, sql, [table.value(connection, "id", known)])
        if not rows:
            raise ExecutionNotFound(execution_id)
        return Execution(**table.values_of(connection, rows[0]))

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
        rows = self._newest(parent, workflow_id=workflow_id, status=status, subject=subject)
        return [row.to_core() for row in rows[:limit]]

    @answers
    def execution_ids(
        self,
        workflow_id: str | None = None,
        status: ExecutionStatus | str | None = None,
        limit: int = 1000,
        *,
        parent: str | None = None,
        parent_step: str | None = None,
        except_steps: Collection[str] = (),
    ) -> list[str]:
        wanted = {"workflow_id": workflow_id, "status": status, "parent_step": parent_step}
        rows = self._newest(parent, **wanted)
        if except_steps:
            rows = rows.exclude(parent_step__in=except_steps)
        ids: Any = rows.values_list("id", flat=True)
        return list(ids[:limit])

    @answers
    def entries(self, execution_id: str) -> list[Entry]:
        rows = self._entries.filter(Q(execution_id=canonical(execution_id))).order_by("id")
        return [row.to_core() for row in rows]

    @answers
    def pending(
        self, before: datetime, limit: int = 500, after: Pending | None = None
    ) -> list[Pending]:
        rows = self._executions.filter(status=ExecutionStatus.PENDING, updated_at__lte=before)
        if after is not None:
            # The first is what finds the place in the index.
            rows = rows.filter(
                Q(created_at__gt=after.created_at) | Q(id__gt=after.id),
                created_at__gte=after.created_at,
            )
        found = rows.order_by("created_at", "id").values(*_PENDING)
        return [Pending(**row) for row in found[:limit]]

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

    # Rows ---------------------------------------------------------------------------------------

    def _known(self, execution: Execution) -> WorkflowExecution | None:
        """Return the row that stands in the way of a new one, where it can be seen."""
        row = self._executions.order_by("id").filter(id=execution.id).first()
        if row is not None or execution.idempotency_key is None:
            return row
        key = {"workflow_id": execution.workflow_id, "idempotency_key": execution.idempotency_key}
        # At most one, and asked without an order, which might be taken for the index to read.
        return next(iter(self._executions.order_by().filter(**key)), None)

    def _newest(self, parent: str | None, **wanted: Any) -> QuerySet[WorkflowExecution]:
        rows = self._executions.filter(**_given(**wanted)).order_by("-created_at", "-id")
        if parent is not None:
            known = canonical(parent)
            rows = rows.filter(Q(parent=known)) if known else rows.none()
        return rows


def _given(**wanted: Any) -> dict[str, Any]:
    return {name: value for name, value in wanted.items() if value is not None}
