"""How OrmStore gives out leases: by id, and in batches of what is pending."""

# ruff: noqa: S608  What is put together are names of tables and columns; values are parameters.

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import QuerySet

from django_workflows.core import clock
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.ids import canonical
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.stores.orm.connection import answers, repeats
from django_workflows.stores.orm.prepared import read_rows
from django_workflows.stores.orm.rows import OrmRows
from django_workflows.stores.orm.statements import Statement, can_return_updated

if TYPE_CHECKING:
    from django_workflows.models import WorkflowExecution

#: How many more are looked at than are wanted, where they are locked after that only: as many may
#: be in the hands of others.
SLACK = 100

#: What reading a row may raise: it is of another version of the code, or was changed by hand.
UNREADABLE = (LookupError, TypeError, ValueError)

#: How many different claims a store keeps ready.
MOST_ASKED = 100

#: Returns what was claimed, all of it where that can be read.
Read = Callable[[Callable[[], list[Execution]]], list[Execution]]

logger = logging.getLogger("django_workflows")

_TAKEN = """
status = %s, lease_owner = %s, lease_expires_at = %s, updated_at = %s,
started_at = COALESCE(started_at, %s), fence = fence + 1, claims = claims + 1
"""

_CLAIMABLE = """
id = %s AND (status = %s OR (status = %s AND (lease_expires_at IS NULL OR lease_expires_at < %s)))
"""

# Materialized: asked again for each row, the limit would hold for each of them.
_CLAIM_CHOSEN = """
WITH {queues} chosen AS MATERIALIZED ({chosen})
UPDATE {table} SET {taken} WHERE id IN (SELECT id FROM chosen) RETURNING {listed}
"""

_CHOSEN_OF_SEVERAL = """
SELECT e.id FROM queued JOIN {table} AS e ON e.id = queued.id WHERE e.status = %s
ORDER BY queued.priority DESC, queued.created_at LIMIT %s FOR NO KEY UPDATE OF e SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be claimed: at most ``limit`` executions of these workflows, on these queues."""

    workflow_ids: frozenset[str]
    queues: tuple[str | None, ...] | None
    limit: int


class OrmClaiming(OrmRows):
    """The leases of OrmStore."""

    @answers
    def claim(self, execution_id: str, owner: str, lease: timedelta) -> Execution | None:
        known_id = canonical(execution_id)
        if known_id is None:
            raise ExecutionNotFound(execution_id)
        now = clock.now()
        taken = self._taken(owner, now, lease)
        asked = [
            ("id", known_id),
            ("status", ExecutionStatus.PENDING),
            ("status", ExecutionStatus.RUNNING),
            ("lease_expires_at", now),
        ]
        sql = f"UPDATE {self._tables.executions.name} SET {_TAKEN} WHERE {_CLAIMABLE}"
        claimed = self._write_and_read(Statement(sql, [*taken, *self._values(asked)]), known_id)
        if claimed is None and not self._executions.filter(id=known_id).exists():
            raise ExecutionNotFound(execution_id)
        return claimed

    @answers
    def renew(self, execution_id: str, fence: int, lease: timedelta) -> bool:
        known_id = canonical(execution_id)
        if known_id is None:
            return False
        running = ExecutionStatus.RUNNING
        held = self._executions.filter(id=known_id, fence=fence, status=running)
        return bool(held.update(lease_expires_at=clock.now() + lease))

    @answers
    @repeats
    def claim_pending(
        self,
        owner: str,
        lease: timedelta,
        limit: int,
        *,
        workflow_ids: Collection[str],
        queues: Collection[str | None] | None = None,
    ) -> list[Execution]:
        asked = Asked(frozenset(workflow_ids), None if queues is None else tuple(queues), limit)
        if not workflow_ids or not limit or asked.queues == ():
            return []
        now = clock.now()
        is_postgres = self._connection.vendor == "postgresql"
        claim = self._claim_at_once if is_postgres else self._claim_in_turn
        read = partial(self._read, owner, now)
        claimed = claim(asked, self._taken(owner, now, lease), read)
        return sorted(claimed, key=lambda one: (-one.priority, one.created_at, one.id))

    # Batches ------------------------------------------------------------------------------------

    def _queues(self, asked: Asked) -> list[QuerySet[WorkflowExecution, Any]]:
        """Return what is pending on each queue, in the order in which it is to be taken."""
        pending = self._executions.filter(
            status=ExecutionStatus.PENDING, workflow_id__in=asked.workflow_ids
        )
        wanted = pending.values("id", "priority", "created_at")
        order = ["-priority", "created_at"]
        if asked.queues is None:
            return [wanted.order_by(*order)]
        if self._connection.vendor == "postgresql":
            # To which an index is in order below one value, and below NULL only if that is said.
            order.insert(0, "queue")
        return [wanted.filter(queue=queue).order_by(*order) for queue in asked.queues]

    def _claim_at_once(self, asked: Asked, taken: list[Any], read: Read) -> list[Execution]:
        connection, table = self._connection, self._tables.executions
        sql, params = self._compiled(asked)
        # How much is pending decides how it is looked for, and that changes.
        rows = read_rows(connection, sql, [*params, *taken], again=False)
        return read(lambda: [Execution(**table.values_of(connection, row)) for row in rows])

    @cached_property
    def _compiled(self) -> Callable[[Asked], tuple[str, list[Any]]]:
        # A worker asks for the same again and again, and the ORM takes longer to say it than
        # PostgreSQL to answer.
        return lru_cache(MOST_ASKED)(self._compile)

    def _compile(self, asked: Asked) -> tuple[str, list[Any]]:
        """Return what claims at once, and its first parameters; what is taken follows."""
        queues, limit = self._queues(asked), asked.limit
        if is_one := len(queues) == 1:
            rows = queues[0].values("id")[:limit]
        else:
            first, *others = (rows[: limit + SLACK] for rows in queues)
            rows = first.union(*others, all=True)
        sql, params = rows.query.get_compiler(self.using).as_sql()
        table = self._tables.executions.name
        if is_one:
            queued = ""
            chosen = f"{sql} FOR NO KEY UPDATE SKIP LOCKED"
        else:
            queued = f"queued AS MATERIALIZED ({sql}),"
            chosen = _CHOSEN_OF_SEVERAL.format(table=table)
            params = [*params, *self._values([("status", ExecutionStatus.PENDING)]), limit]
        listed = self._tables.executions.listed
        sql = _CLAIM_CHOSEN.format(
            queues=queued, chosen=chosen, table=table, taken=_TAKEN, listed=listed
        )
        return sql, list(params)

    def _claim_in_turn(self, asked: Asked, taken: list[Any], read: Read) -> list[Execution]:
        # Looked for before anything is locked: most of the time there is nothing.
        limit = asked.limit
        found = [row for rows in self._queues(asked) for row in rows[: limit + SLACK]]
        found.sort(key=lambda row: (-row["priority"], row["created_at"]))
        if not found:
            return []
        pending = self._executions.filter(status=ExecutionStatus.PENDING)
        ids = (row["id"] for row in found)
        with transaction.atomic(using=self.using):
            self._begin_writing()
            chosen = self._lock_first(pending.values_list("id", flat=True), ids, limit)
            if not chosen:
                return []
            marks = ", ".join(["%s"] * len(chosen))
            sql = f"UPDATE {self._tables.executions.name} SET {_TAKEN} WHERE id IN ({marks})"
            params = [*taken, *self._values([("id", one) for one in chosen])]
            Statement(sql, params).execute(self._connection)
            return read(lambda: [row.to_core() for row in self._executions.filter(id__in=chosen)])

    def _read(
        self, owner: str, now: datetime, all_: Callable[[], list[Execution]]
    ) -> list[Execution]:
        """Return what ``owner`` has claimed ``now``: ``all_`` of it, or what of it can be read."""
        try:
            return all_()
        except UNREADABLE:
            mine = self._executions.filter(
                status=ExecutionStatus.RUNNING, lease_owner=owner, updated_at=now
            )
            ids: Any = mine.values_list("id", flat=True)
            return [one for each in ids for one in self._read_one(mine.filter(id=each), each)]

    def _read_one(self, rows: Iterable[WorkflowExecution], execution_id: str) -> list[Execution]:
        try:
            return [row.to_core() for row in rows]
        except UNREADABLE:
            logger.exception(
                "Execution %s was claimed and cannot be read",
                execution_id,
                extra={"execution_id": execution_id},
            )
            return []

    # Statements ---------------------------------------------------------------------------------

    def _taken(self, owner: str, now: datetime, lease: timedelta) -> list[Any]:
        """Return the parameters of what a claim writes."""
        return self._values(
            [
                ("status", ExecutionStatus.RUNNING),
                ("lease_owner", owner),
                ("lease_expires_at", now + lease),
                ("updated_at", now),
                ("started_at", now),
            ]
        )

    def _values(self, named: Sequence[tuple[str, Any]]) -> list[Any]:
        """Return values of fields of an execution as the database takes them."""
        table = self._tables.executions
        return [table.value(self._connection, name, value) for name, value in named]

    def _write_and_read(self, written: Statement, execution_id: str) -> Execution | None:
        """Execute an UPDATE of one execution, and return it, or None where that missed."""
        connection, table = self._connection, self._tables.executions
        if connection.vendor == "postgresql":
            sql = f"{written.sql} RETURNING {table.listed}"
            rows = read_rows(connection, sql, written.params)
            return Execution(**table.values_of(connection, rows[0])) if rows else None
        if can_return_updated(connection):
            found = self._executions.raw(f"{written.sql} RETURNING *", written.params)
            return next((row.to_core() for row in found), None)
        with transaction.atomic(using=self.using, savepoint=False):
            hit = written.execute(connection)
            return self._executions.get(id=execution_id).to_core() if hit else None
