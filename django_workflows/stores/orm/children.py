"""What OrmStore knows of the children of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, QuerySet

from django_workflows.core import clock
from django_workflows.core.execution import Execution, ExecutionStatus
from django_workflows.core.ids import canonical
from django_workflows.core.store import LOST, ChildrenState
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import StaleExecution
from django_workflows.stores.orm.connection import answers, repeats
from django_workflows.stores.orm.rows import NOBODY, OrmRows
from django_workflows.stores.orm.sql import MOST_ROWS, batches
from django_workflows.stores.orm.statements import Statement

if TYPE_CHECKING:
    from django_workflows.models import WorkflowExecution

#: Those that somebody drives, or is about to.
DRIVEN = (ExecutionStatus.RUNNING, ExecutionStatus.PENDING)

#: What children() promises of a child, and by what it is found.
READ = (
    *("id", "workflow_id", "status", "parent", "parent_step", "item"),
    *("result", "error", "ctx"),
)

#: How many held children are looked at beyond those whose turn it may be, for one that waits for
#: something after all. Of those that the engine holds none does: no wait is opened before a claim.
AHEAD = 5

ANY = "EXISTS ({})"
EITHER = "(EXISTS ({}) OR EXISTS ({}))"
COUNT = "(SELECT COUNT(*) FROM ({}) AS listed)"


class OrmChildren(OrmRows):
    """The children of OrmStore's executions."""

    @answers
    @repeats
    def create_children(
        self, parent: str, fence: int, children: Sequence[Execution]
    ) -> list[Execution]:
        table, connection = self._tables.executions, self._connection
        stored: list[Execution] = []
        with transaction.atomic(using=self.using):
            if not self._is_locked(parent, fence=fence):
                raise StaleExecution(parent, fence)
            for batch in batches(children, table.most_rows(connection, MOST_ROWS)):
                stored += self._added(batch)
        return stored

    @answers
    def with_children(self, execution_ids: Sequence[str]) -> set[str]:
        known: list[Any] = [name for name in map(canonical, execution_ids) if name is not None]
        rows: QuerySet[Any, Any] = self._executions.filter(parent__in=known).order_by()
        return set(rows.values_list("parent", flat=True).distinct())

    @answers
    def children_state(self, parent: str, step: str) -> ChildrenState:
        rows = self._children(parent, step).values("id")
        driven = rows.filter(status__in=DRIVEN)
        halted = rows.filter(status=ExecutionStatus.HALTED)
        lost = rows.filter(status__in=LOST)
        # The driven first: they are few, while of another step thousands may be held.
        state = self._asked((EITHER, driven, halted), (ANY, lost))
        return ChildrenState(live=bool(state[0]), lost=bool(state[1]))

    @answers
    def tally(self, parent: str, step: str) -> Mapping[ExecutionStatus, int]:
        counted = self._children(parent, step).values_list("status").annotate(Count("id"))
        return dict(counted)

    @answers
    def children(self, parent: str, step: str) -> list[Execution]:
        rows = self._children(parent, step).order_by(F("item").asc(nulls_first=True), "id")
        return [Execution(**row) for row in rows.values(*READ)]

    @answers
    @repeats
    def supersede(self, parent: str, step: str) -> None:
        self._children(parent, step).filter(status__in=LOST).update(parent_step=None)

    @answers
    @repeats
    def release_held(self, parent: str, step: str, most: int) -> list[Execution]:
        changes: dict[str, Any] = {
            "status": ExecutionStatus.PENDING,
            "recover_to": None,
            "halt_data": None,
            "updated_at": clock.now(),
        }
        with transaction.atomic(using=self.using):
            self._is_locked(parent)
            ids = self._next_held(parent, step, most)
            rows = self._lock(self._executions.filter(id__in=ids)).order_by("item")
            # Looked at once more: one may have been cancelled meanwhile.
            released = [row.to_core() for row in rows if _is_held(row)]
            self._executions.filter(id__in=[child.id for child in released]).update(**changes)
        return [replace(child, **changes) for child in released]

    # Rows ---------------------------------------------------------------------------------------

    def _children(self, parent: str, step: str) -> QuerySet[WorkflowExecution]:
        known: Any = canonical(parent) or NOBODY
        return self._executions.filter(parent=known, parent_step=step).order_by()

    def _added(self, batch: Sequence[Execution]) -> list[Execution]:
        """Write those of ``batch`` that are not there yet, and return all as they are stored."""
        added = self._tables.executions.insert(self._connection, *batch).execute(self._connection)
        if added == len(batch):
            return list(batch)
        rows = self._executions.filter(id__in=[child.id for child in batch])
        known = {row.id: row.to_core() for row in rows}
        return [known.get(child.id) or self.create(child) for child in batch]

    def _next_held(self, parent: str, step: str, most: int) -> list[str]:
        """Return the ids of the held children whose turn it is where ``most`` may be under way."""
        rows = self._children(parent, step)
        driven = rows.filter(status__in=DRIVEN)
        halted = rows.filter(status=ExecutionStatus.HALTED, fence__gt=0)
        # Each reads a part of the index in which there are no others.
        under_way = self._asked((COUNT, driven.values("id")), (COUNT, halted.values("id")))
        room = most - sum(under_way)
        if room <= 0:
            return []
        opened = self._waits.filter(execution=OuterRef("id"), status=WaitStatus.OPEN)
        held = rows.filter(status=ExecutionStatus.HALTED, fence=0).values(
            "id", waits_on=Exists(opened)
        )
        # By item alone, which is the order of the index, and few of them: so who is next is read
        # at once, however many come after.
        first: Any = held.order_by("item")[: room + AHEAD]
        free = [row["id"] for row in first if not row["waits_on"]]
        return free[: max(0, room - len(first) + len(free))]

    def _asked(self, *asked: Sequence[Any]) -> tuple[Any, ...]:
        """Return the answers to questions, each with its querysets; the ORM asks one by one."""
        questions, params = [], []
        for question, *subjects in asked:
            compiled = [rows.query.get_compiler(self.using).as_sql() for rows in subjects]
            questions.append(question.format(*(sql for sql, _ in compiled)))
            params += [value for _, values in compiled for value in values]
        return Statement(f"SELECT {', '.join(questions)}", params).read_row(self._connection)


def _is_held(row: WorkflowExecution) -> bool:
    return row.status == ExecutionStatus.HALTED and row.fence == 0
