"""What SqlAlchemyStore does with the children of one step, all of them at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, literal_column, or_, select, update

from django_workflows.core import clock
from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.store import LOST, ChildrenState
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import StaleExecution
from django_workflows.stores.sqlalchemy.columns import row
from django_workflows.stores.sqlalchemy.locking import locked
from django_workflows.stores.sqlalchemy.reading import SqlAlchemyReading, records
from django_workflows.stores.sqlalchemy.tables import executions, waits
from django_workflows.stores.sqlalchemy.writing import (
    Values,
    batches,
    create_execution,
    insert_new_rows,
    rows,
)

_OF = executions.c

_LIVE = sorted(set(ExecutionStatus) - FINAL_STATUSES)
_LOST = sorted(LOST)

_NEVER_CLAIMED = (_OF.status == ExecutionStatus.HALTED) & (_OF.fence == 0)

#: What children() promises of each.
_PROMISED = ("id", "workflow_id", "status", "item", "result", "error", "ctx", "parent")


class SqlAlchemyChildren(SqlAlchemyReading):
    """The part of SqlAlchemyStore that distributed fan-out needs."""

    def create_children(
        self, parent: str, fence: int, children: Sequence[Execution]
    ) -> list[Execution]:
        values = rows(children)

        def write(connection: Connection) -> list[Execution]:
            guard = locked(select(_OF.fence).where(_OF.id == parent))
            if connection.scalar(guard) != fence:
                raise StaleExecution(parent, fence)
            return _create(connection, children, values)

        return self.transactions.write(write)

    def children_state(self, parent: str, step: str) -> ChildrenState:
        of_step = _children(parent, step)
        query = select(
            or_(*(_has(of_step, status) for status in _LIVE)),
            or_(*(_has(of_step, status) for status in _LOST)),
        )
        live, lost = self.transactions.read(lambda connection: connection.execute(query).one())
        return ChildrenState(live=bool(live), lost=bool(lost))

    def tally(self, parent: str, step: str) -> Mapping[ExecutionStatus, int]:
        query = select(_OF.status, func.count()).where(*_children(parent, step))
        counted = self.transactions.read(
            lambda connection: connection.execute(query.group_by(_OF.status)).all()
        )
        return {ExecutionStatus(status): count for status, count in counted}

    def children(self, parent: str, step: str) -> list[Execution]:
        query = select(*(_OF[name] for name in _PROMISED)).where(*_children(parent, step))
        return self._records(Execution, query.order_by(_OF.item, _OF.id))

    def supersede(self, parent: str, step: str) -> None:
        lost = update(executions).where(*_children(parent, step), _OF.status.in_(_LOST))
        self.transactions.write(
            lambda connection: connection.execute(lost.values(parent_step=None))
        )

    def release_held(self, parent: str, step: str, most: int) -> list[Execution]:
        return self.transactions.write(lambda connection: _release(connection, parent, step, most))


def _children(parent: str, step: str) -> tuple[ColumnElement[bool], ...]:
    return (_OF.parent == parent, _OF.parent_step == step)


def _has(of_step: Sequence[ColumnElement[bool]], status: ExecutionStatus) -> ColumnElement[bool]:
    """Return the condition that one of the step's children has this status."""
    # In the order of the index, because for EXISTS PostgreSQL may well read the whole table, in
    # the hope to come by one soon.
    first = select(_OF.id).where(*of_step, _OF.status == status).order_by(_OF.fence, _OF.item)
    return first.limit(1).scalar_subquery().is_not(None)


def _create(
    connection: Connection, children: Sequence[Execution], values: Sequence[Values]
) -> list[Execution]:
    stored: dict[str, Execution] = {}
    for batch in batches([child.id for child in children]):
        known = records(connection, Execution, select(executions).where(_OF.id.in_(batch)))
        stored.update((child.id, child) for child in known)
    missing = [one for one in values if one["id"] not in stored]
    if insert_new_rows(connection, executions, missing):
        return [stored.get(child.id, child) for child in children]
    # A key was used before, or somebody else creates one of them just now.
    return [
        create_execution(connection, child, one)
        for child, one in zip(children, values, strict=True)
    ]


def _release(connection: Connection, parent: str, step: str, most: int) -> list[Execution]:
    # Callers take turns at the parent, so that each counts what the others released.
    connection.execute(locked(select(_OF.id).where(_OF.id == parent)))
    of_step = _children(parent, step)
    waiting = _waiting(connection, of_step)
    under_way = connection.scalars(_count_claimed(of_step)).one() + len(waiting)
    if under_way >= most:
        return []
    held = select(executions).where(*of_step, _NEVER_CLAIMED, _OF.id.not_in(waiting))
    in_turn = held.order_by(_OF.item, _OF.id).limit(most - under_way)
    changes: dict[str, Any] = {
        "status": ExecutionStatus.PENDING,
        "recover_to": None,
        "halt_data": None,
        "updated_at": clock.now(),
    }
    released = [
        replace(child, **changes) for child in records(connection, Execution, locked(in_turn))
    ]
    for batch in batches(released):
        values = row(batch[0], changes)  # the same for each
        ids = [child.id for child in batch]
        connection.execute(update(executions).where(_OF.id.in_(ids)).values(values))
    return released


def _waiting(connection: Connection, of_step: Sequence[ColumnElement[bool]]) -> set[str]:
    """Return those of the step that were never claimed and have an open wait all the same."""
    # The fence is a literal, because that is what a partial index asks for.
    opened_at_once = (waits.c.fence == literal_column("0")) & (waits.c.status == WaitStatus.OPEN)
    found: set[str] = set()
    for batch in batches(
        connection.scalars(select(waits.c.execution_id).where(opened_at_once)).all()
    ):
        unclaimed = select(_OF.id).where(*of_step, _NEVER_CLAIMED, _OF.id.in_(batch))
        found.update(connection.scalars(unclaimed))
    return found


def _count_claimed(of_step: Sequence[ColumnElement[bool]]) -> Select[Any]:
    """Return the query for how many of the step are pending, running, or halted after a claim."""
    count = select(func.count()).select_from(executions).where(*of_step)
    awake = count.where(_OF.status.in_([ExecutionStatus.PENDING, ExecutionStatus.RUNNING]))
    asleep = count.where(_OF.status == ExecutionStatus.HALTED, _OF.fence > 0)
    # Asked apart, each is a range of the index.
    return select(awake.scalar_subquery() + asleep.scalar_subquery())
