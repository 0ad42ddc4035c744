"""How SqlAlchemyStore deletes what ended long ago: whole trees, some hundred in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, or_, select

from django_workflows.core.execution import FINAL_STATUSES, ExecutionStatus
from django_workflows.core.store import MOST_PURGED, Ended, Purged
from django_workflows.stores.sqlalchemy.locking import locked
from django_workflows.stores.sqlalchemy.reading import SqlAlchemyReading
from django_workflows.stores.sqlalchemy.tables import chores, entries, events, executions, waits
from django_workflows.stores.sqlalchemy.writing import batches

_OF = executions.c

_FINAL = sorted(FINAL_STATUSES)


class SqlAlchemyPurging(SqlAlchemyReading):
    """The part of SqlAlchemyStore that is about retention."""

    def ended(
        self,
        before: datetime,
        limit: int = 100,
        *,
        workflow_ids: Collection[str] | None = None,
        statuses: Collection[ExecutionStatus] | None = None,
        after: Ended | None = None,
    ) -> list[Ended]:
        found = select(_OF.id, _OF.finished_at).where(*_is_root(before))
        if workflow_ids is not None:
            found = found.where(_OF.workflow_id.in_(sorted(workflow_ids)))
        if statuses is not None:
            found = found.where(_OF.status.in_(sorted(statuses)))
        if after is not None:
            later = or_(_OF.finished_at > after.finished_at, _OF.id > after.id)
            # Said of the index's first column alone, so that it is entered at this place.
            found = found.where(later, _OF.finished_at >= after.finished_at)
        in_order = found.order_by(_OF.finished_at, _OF.id).limit(limit)
        return self.transactions.read(
            lambda connection: [
                Ended(id=row.id, finished_at=row.finished_at)
                for row in connection.execute(in_order)
            ]
        )

    def purge(self, roots: Sequence[str], before: datetime, most: int = MOST_PURGED) -> Purged:
        def write(connection: Connection) -> Purged:
            fitting = _fitting(connection, roots, most)
            doomed = _lock_trees(connection, fitting, before)
            _delete(connection, doomed)
            return Purged(roots=len(fitting), executions=len(doomed))

        return self.transactions.write(write)


def _is_root(before: datetime) -> Sequence[ColumnElement[bool]]:
    above = executions.alias("above")
    has_parent = select(above.c.id).where(above.c.id == _OF.parent).exists()
    # Nothing but this store looks after parents: somebody may have deleted one by hand.
    # By the time alone, which only the end has: asked for the status as well, SQLite would take
    # the index of that. What is locked to be deleted is asked for both.
    return _OF.finished_at < before, or_(_OF.parent.is_(None), ~has_parent)


def _fitting(connection: Connection, roots: Sequence[str], most: int) -> Sequence[str]:
    """Return the first of ``roots``: as many as have ``most`` executions, but at least one."""
    while len(roots) > 1 and _are_more(connection, roots, most):
        roots = roots[: len(roots) // 2]
    return roots


def _are_more(connection: Connection, roots: Sequence[str], most: int) -> bool:
    level, seen = list(roots), len(roots)
    while level and seen <= most:
        level = [child for child, _ in _below(connection, level, most + 1)]
        seen += len(level)
    return seen > most


def _below(
    connection: Connection, ids: Sequence[str], most: int | None = None
) -> Iterator[tuple[str, str]]:
    """Yield ids of children with their parents', of each batch of these ``most``."""
    for batch in batches(ids):
        children = select(_OF.id, _OF.parent).where(_OF.parent.in_(batch)).limit(most)
        yield from ((row.id, row.parent) for row in connection.execute(children))


def _lock_trees(connection: Connection, roots: Sequence[str], before: datetime) -> list[str]:
    """
    Lock the trees that have ended, and return the ids of all of them.

    Nobody is waited for: what somebody holds may be about to go on, and its tree is left. A locked
    execution gets no children, so that a level is whole once the one above is locked.
    """
    level = list(_hold(connection, roots, *_is_root(before), _OF.status.in_(_FINAL)))
    root_of = {name: name for name in level}
    left: set[str] = set()
    while level:
        below = dict(_below(connection, level))
        held = _hold(connection, list(below))
        root_of |= {child: root_of[parent] for child, parent in below.items()}
        left |= {root_of[name] for name in below if held.get(name) not in _FINAL}
        level = list(below)
    return [name for name, root in root_of.items() if root not in left]


def _hold(
    connection: Connection, ids: Sequence[str], *conditions: ColumnElement[bool]
) -> dict[str, str]:
    """Lock those of ``ids`` that are as asked and in nobody's hands; return their status."""
    held: dict[str, str] = {}
    for batch in batches(ids):
        found = select(_OF.id, _OF.status).where(_OF.id.in_(batch), *conditions).order_by(_OF.id)
        free = locked(found, passing_over=connection.dialect)
        held.update((row.id, row.status) for row in connection.execute(free))
    return held


def _delete(connection: Connection, ids: Sequence[str]) -> None:
    for batch in batches(ids):
        taken = select(waits.c.id, waits.c.key).where(waits.c.execution_id.in_(batch))
        found: Any = connection.execute(taken.where(waits.c.key.is_not(None))).all()
        for some in batches(found):
            topics, takers = {row.key for row in some}, [row.id for row in some]
            # By topic as well, which the index begins with.
            of_them = events.c.topic.in_(sorted(topics)) & events.c.taken_by.in_(takers)
            connection.execute(delete(events).where(of_them))
        for column in (entries.c.execution_id, waits.c.execution_id, chores.c.execution_id, _OF.id):
            connection.execute(delete(column.table).where(column.in_(batch)))
