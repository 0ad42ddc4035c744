"""What SqlAlchemyStore does for those who drive executions, and who look for what nobody drives."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    false,
    func,
    literal,
    or_,
    select,
    update,
)

from django_workflows.core import clock
from django_workflows.core.decisions import Change, wake_up
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.logs import log_entries
from django_workflows.core.store import Due, DueReason, Pending
from django_workflows.core.waits import Wait, WaitStatus
from django_workflows.exceptions import NotResumable
from django_workflows.stores.sqlalchemy.columns import Moment, record
from django_workflows.stores.sqlalchemy.locking import locked
from django_workflows.stores.sqlalchemy.reading import SqlAlchemyReading, load, oldest_waits
from django_workflows.stores.sqlalchemy.tables import executions, waits
from django_workflows.stores.sqlalchemy.writing import (
    Draft,
    Values,
    batches,
    update_row,
    write_drafts,
)

logger = logging.getLogger("django_workflows")

_OF = executions.c


class SqlAlchemyDriving(SqlAlchemyReading):
    """The part of SqlAlchemyStore for workers and supervisors."""

    def claim(self, execution_id: str, owner: str, lease: timedelta) -> Execution | None:
        now = clock.now()
        free = (_OF.status == ExecutionStatus.PENDING) | _is_abandoned(now)
        take = update(executions).where(_OF.id == execution_id, free)
        claimed = _claimed(owner, now, lease)

        def write(connection: Connection) -> Execution | None:
            taken = connection.execute(take.values(claimed)).rowcount
            execution = load(connection, execution_id)
            return execution if taken else None

        return self.transactions.write(write)

    def claim_pending(
        self,
        owner: str,
        lease: timedelta,
        limit: int,
        *,
        workflow_ids: Collection[str],
        queues: Collection[str | None] | None = None,
    ) -> list[Execution]:
        in_turn = _in_turn(workflow_ids, queues).limit(limit)
        claimed = _claimed(owner, clock.now(), lease)

        def write(connection: Connection) -> list[RowMapping]:
            free = locked(in_turn, passing_over=connection.dialect)
            ids = list(connection.scalars(free))
            found: dict[str, RowMapping] = {}
            for batch in batches(ids):
                connection.execute(update(executions).where(_OF.id.in_(batch)).values(claimed))
                found |= _rows(connection, select(executions).where(_OF.id.in_(batch)))
            return [found[one] for one in ids]

        executions_claimed = []
        for row in self.transactions.write(write):
            # What cannot be read is left to its lease; another release may be able to.
            with _logged(row["id"], "was claimed and cannot be read"):
                executions_claimed.append(record(Execution, row))
        return executions_claimed

    def renew(self, execution_id: str, fence: int, lease: timedelta) -> bool:
        until = {"lease_expires_at": clock.now() + lease}
        running = ExecutionStatus.RUNNING
        return self.transactions.write(
            lambda connection: update_row(
                connection, executions, until, id=execution_id, fence=fence, status=running
            )
        )

    def pending(
        self, before: datetime, limit: int = 500, after: Pending | None = None
    ) -> list[Pending]:
        query = select(*(_OF[field.name] for field in fields(Pending))).where(
            _OF.status == ExecutionStatus.PENDING, _OF.updated_at <= before
        )
        if after is not None:
            # Said like this, and not as a comparison of pairs, MariaDB finds it in the index.
            is_later = (_OF.created_at > after.created_at) | (_OF.id > after.id)
            query = query.where(_OF.created_at >= after.created_at, is_later)
        page = query.order_by(_OF.created_at, _OF.id).limit(limit)
        return self.transactions.read(
            lambda connection: [Pending(**row) for row in connection.execute(page).mappings()]
        )

    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        expired = select(_OF.id).where(_is_abandoned(now))
        late = select(_OF.id).where(_OF.status == ExecutionStatus.HALTED, _OF.deadline_at <= now)
        # PostgreSQL would list what has no lease at all last.
        longest_ended = (_OF.lease_expires_at.is_not(None), _OF.lease_expires_at)
        listed = {
            DueReason.EXPIRED: expired.order_by(*longest_ended),
            DueReason.DEADLINE: late.order_by(_OF.deadline_at),
            DueReason.WAIT: _ripe(waits.c.wake_at, now),
            DueReason.REMINDER: _ripe(waits.c.remind_at, now),
        }
        return self.transactions.read(
            lambda connection: [
                Due(reason=reason, execution_id=ids[0], wait_id=ids[1] if len(ids) > 1 else None)
                for reason, query in listed.items()
                for ids in connection.execute(query.limit(limit))
            ]
        )

    def wake_due(self, now: datetime, limit: int = 100) -> list[Execution]:
        """
        See Store.wake_due(). All of it is one transaction.

        What somebody else holds at this moment is passed over where the database can do so; if
        it is due still, the next call finds it.
        """
        reasons: dict[str, list[Due]] = defaultdict(list)
        for due in self.due(now, limit):
            reasons[due.execution_id].append(due)
        if not reasons:
            return []
        changes = self.transactions.write(lambda connection: _wake(connection, reasons, now))
        for change in changes:
            log_entries(change.execution, change.entries)
        pending = ExecutionStatus.PENDING
        return [one.execution for one in changes if one.execution.status == pending]


# Claims -----------------------------------------------------------------------------------------


def _is_abandoned(now: datetime) -> ColumnElement[bool]:
    lease_ended = _OF.lease_expires_at.is_(None) | (_OF.lease_expires_at < now)
    return (_OF.status == ExecutionStatus.RUNNING) & lease_ended


def _claimed(owner: str, now: datetime, lease: timedelta) -> Values:
    return {
        "status": ExecutionStatus.RUNNING,
        "lease_owner": owner,
        "lease_expires_at": now + lease,
        "fence": _OF.fence + 1,
        "claims": _OF.claims + 1,
        "started_at": func.coalesce(_OF.started_at, literal(now, Moment())),
        "updated_at": now,
    }


def _in_turn(workflow_ids: Collection[str], queues: Collection[str | None] | None) -> Select[Any]:
    """Return the query for ids of what is pending, in the order in which it is to be claimed."""
    query = select(_OF.id).where(
        _OF.status == ExecutionStatus.PENDING, _OF.workflow_id.in_(list(workflow_ids))
    )
    if queues is not None:
        named = _OF.queue.in_([queue for queue in queues if queue is not None])
        unnamed = _OF.queue.is_(None) if None in queues else false()
        query = query.where(or_(named, unnamed))
    return query.order_by(_OF.priority.desc(), _OF.created_at)


# What is due ------------------------------------------------------------------------------------


def _ripe(moment: ColumnElement[Any], now: datetime) -> Select[Any]:
    open_ones = select(waits.c.execution_id, waits.c.id).where(waits.c.status == WaitStatus.OPEN)
    return open_ones.where(moment <= now).order_by(moment)


def _wake(
    connection: Connection, reasons: Mapping[str, Sequence[Due]], now: datetime
) -> list[Change]:
    held: dict[str, RowMapping] = {}
    known: dict[str, list[RowMapping]] = defaultdict(list)
    for batch in batches(sorted(reasons)):
        of_batch = select(executions).where(_OF.id.in_(batch)).order_by(_OF.id)
        held |= _rows(connection, locked(of_batch, passing_over=connection.dialect))
    for batch in batches(list(held)):
        of_batch = oldest_waits().where(waits.c.execution_id.in_(batch))
        for row in connection.execute(of_batch).mappings():
            known[row["execution_id"]].append(row)
    changes: list[Change] = []
    drafts: list[Draft] = []
    for execution_id in [one for one in reasons if one in held]:
        with _logged(execution_id, "could not be woken"):
            stored = record(Execution, held[execution_id])
            theirs = [record(Wait, row) for row in known[execution_id]]
            for change in _decide(reasons[execution_id], stored, theirs, now):
                drafts.append(Draft.of(change, stored, theirs))
                changes.append(change)
    write_drafts(connection, drafts)
    return changes


def _decide(
    reasons: Sequence[Due], execution: Execution, waits: Sequence[Wait], now: datetime
) -> list[Change]:
    """Return one change for all that is due of an execution, or none."""
    known = {wait.id: wait for wait in waits}
    changes: list[Change] = []
    for due in reasons:
        with suppress(NotResumable):  # another hand was quicker
            changes.append(wake_up(due, now)(execution, list(known.values())))
            execution = changes[-1].execution
            known |= {wait.id: wait for wait in changes[-1].waits}
    changed = {wait.id for change in changes for wait in change.waits}
    as_one = Change(
        execution=execution,
        entries=[entry for change in changes for entry in change.entries],
        waits=[wait for wait in known.values() if wait.id in changed],
        chores=[chore for change in changes for chore in change.chores],
    )
    return [as_one] if changes else []


def _rows(connection: Connection, query: Select[Any]) -> dict[str, RowMapping]:
    return {row["id"]: row for row in connection.execute(query).mappings()}


@contextmanager
def _logged(execution_id: str, what: str) -> Iterator[None]:
    """Log what goes wrong with one execution, so that it keeps no other waiting."""
    try:
        yield
    except Exception:
        logger.exception(
            "Execution %s %s", execution_id, what, extra={"execution_id": execution_id}
        )
