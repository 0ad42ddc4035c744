"""How OrmStore deletes what ended long ago: whole trees, some hundred in a few statements."""

# ruff: noqa: S608  What is put together are names of tables and columns; values are parameters.

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Q, QuerySet

from django_workflows.core.execution import FINAL_STATUSES, ExecutionStatus
from django_workflows.core.ids import canonical
from django_workflows.core.store import MOST_PURGED, Ended, Purged
from django_workflows.stores.orm.connection import answers, repeats
from django_workflows.stores.orm.rows import NOBODY, OrmRows
from django_workflows.stores.orm.sql import MOST_ROWS, Table, batches
from django_workflows.stores.orm.statements import Statement

if TYPE_CHECKING:
    from django_workflows.models import WorkflowExecution


class OrmPurging(OrmRows):
    """The part of OrmStore that is about retention."""

    @answers
    def ended(
        self,
        before: datetime,
        limit: int = 100,
        *,
        workflow_ids: Collection[str] | None = None,
        statuses: Collection[ExecutionStatus] | None = None,
        after: Ended | None = None,
    ) -> list[Ended]:
        rows = self._roots(before)
        if workflow_ids is not None:
            rows = rows.filter(workflow_id__in=workflow_ids)
        if statuses is not None:
            rows = rows.filter(status__in=statuses)
        if after is not None:
            later = Q(finished_at__gt=after.finished_at) | Q(id__gt=after.id)
            # Said of the index's column alone as well, so that it is entered at this place.
            rows = rows.filter(later, finished_at__gte=after.finished_at)
        found: Any = rows.order_by("finished_at", "id").values_list("id", "finished_at")
        return [Ended(id=name, finished_at=moment) for name, moment in found[:limit]]

    @answers
    @repeats
    def purge(self, roots: Sequence[str], before: datetime, most: int = MOST_PURGED) -> Purged:
        fitting = self._fitting([canonical(root) or NOBODY for root in roots], most)
        with transaction.atomic(using=self.using):
            self._begin_writing()
            levels = self._lock_trees(fitting, before)
            self._delete_levels(levels)
        return Purged(roots=len(fitting), executions=sum(map(len, levels)))

    # Find ---------------------------------------------------------------------------------------

    def _roots(self, before: datetime) -> QuerySet[WorkflowExecution]:
        # By the time alone, which only the end has: asked for the status as well, SQLite would
        # take the index of that. What is locked to be deleted is asked for both.
        return self._executions.filter(parent=None, finished_at__lt=before)

    def _fitting(self, roots: Sequence[str], most: int) -> Sequence[str]:
        """Return the first of ``roots``: as many as have ``most`` executions, but at least one."""
        while len(roots) > 1 and self._are_more(roots, most):
            roots = roots[: len(roots) // 2]
        return roots

    def _are_more(self, roots: Sequence[str], most: int) -> bool:
        level, seen = list(roots), len(roots)
        while level and seen <= most:
            level = [child for child, _ in self._below(level, most + 1)]
            seen += len(level)
        return seen > most

    def _below(self, ids: Sequence[str], most: int | None = None) -> Iterator[tuple[str, str]]:
        """Yield ids of children with their parents', of each batch of these ``most``."""
        for batch in batches(ids, MOST_ROWS):
            rows: Any = self._executions.filter(parent__in=list(batch)).order_by()
            yield from rows.values_list("id", "parent")[:most]

    # Lock ---------------------------------------------------------------------------------------

    def _lock_trees(self, roots: Sequence[str], before: datetime) -> list[list[str]]:
        """
        Lock the trees that have ended, and return their ids level by level, the roots first.

        Nobody is waited for: what somebody holds may be about to go on, and its tree is left. A
        locked execution gets no children, so that a level is whole once the one above is locked.
        """
        ended = self._roots(before).filter(status__in=FINAL_STATUSES)
        held = self._hold(ended, roots)
        root_of = {name: name for name in held}
        levels, left = [list(held)], set[str]()
        while levels[-1]:
            below = dict(self._below(levels[-1]))
            held = self._hold(self._executions, list(below))
            root_of |= {child: root_of[parent] for child, parent in below.items()}
            left |= {root_of[name] for name in below if held.get(name) not in FINAL_STATUSES}
            levels.append(list(below))
        return [[name for name in level if root_of[name] not in left] for level in levels]

    def _hold(
        self, rows: QuerySet[WorkflowExecution], ids: Sequence[str]
    ) -> dict[str, ExecutionStatus]:
        """Lock those of ``ids`` that are among ``rows`` and in nobody's hands, to be deleted."""
        skip = self._connection.features.has_select_for_update_skip_locked
        held: dict[str, ExecutionStatus] = {}
        for batch in batches(ids, MOST_ROWS):
            found = rows.filter(id__in=list(batch)).order_by("id")
            free: Any = found.select_for_update(skip_locked=skip).values_list("id", "status")
            held.update(free)
        return held

    # Delete -------------------------------------------------------------------------------------

    def _delete_levels(self, levels: Sequence[Sequence[str]]) -> None:
        tables = self._tables
        for batch in batches([name for level in levels for name in level], MOST_ROWS):
            waits: Any = self._waits.filter(execution__in=list(batch)).order_by()
            self._delete(tables.events, "taken_by", waits.values_list("id", flat=True))
            self._delete(tables.chores, "execution_id", batch)
            if not self._is_referred_to:
                for table in (tables.waits, tables.entries):
                    self._delete(table, "execution_id", batch)
        # Children first: MariaDB minds a foreign key with every row, not at the end.
        for level in reversed(levels):
            if not self._is_referred_to:
                self._delete(tables.executions, "id", level)
                continue
            # As Django does it: what the project has said of its own foreign keys counts.
            for batch in batches(level, MOST_ROWS):
                self._executions.filter(id__in=list(batch)).delete()

    @cached_property
    def _is_referred_to(self) -> bool:
        """Say whether a model of the project has a foreign key to what is deleted here."""
        models = (self._executions.model, self._entries.model, self._waits.model)
        relations = [one for model in models for one in model._meta.related_objects]
        own = {model._meta.label for model in (*models, self._chores.model, self._events.model)}
        return any(one.related_model._meta.label not in own for one in relations)

    def _delete(self, table: Table, name: str, values: Iterable[str]) -> None:
        """Delete the rows of these values: no signals, and nothing read to find what hangs on."""
        connection = self._connection
        for batch in batches([table.value(connection, name, one) for one in values], MOST_ROWS):
            marks = ", ".join(["%s"] * len(batch))
            sql = f"DELETE FROM {table.name} WHERE {table.columns[name]} IN ({marks})"
            Statement(sql, batch).execute(connection)
