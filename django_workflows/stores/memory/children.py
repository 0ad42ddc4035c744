"""How MemoryStore keeps the children of an execution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from django_workflows.core import clock
from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.store import LOST, ChildrenState
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import StaleExecution
from django_workflows.stores.memory.journal import Row
from django_workflows.stores.memory.rows import Rows


class Children(Rows):
    """The part of MemoryStore that knows of children."""

    def create_children(
        self, parent: str, fence: int, children: Sequence[Execution]
    ) -> list[Execution]:
        with self._journal.block():
            if not self._has_fence(parent, fence):
                raise StaleExecution(parent, fence)
            return [self.create(child) for child in children]

    def children_state(self, parent: str, step: str) -> ChildrenState:
        statuses = set(self.tally(parent, step))
        return ChildrenState(live=bool(statuses - FINAL_STATUSES), lost=bool(statuses & LOST))

    def tally(self, parent: str, step: str) -> Mapping[ExecutionStatus, int]:
        return Counter(row.facts["status"] for row in self._children(parent, step))

    def children(self, parent: str, step: str) -> list[Execution]:
        return [row.read() for row in _by_item(self._children(parent, step))]

    def supersede(self, parent: str, step: str) -> None:
        with self._journal.block():
            for row in self._children(parent, step):
                if row.facts["status"] in LOST:
                    self.save(replace(row.read(), parent_step=None))

    def release_held(self, parent: str, step: str, most: int) -> list[Execution]:
        with self._journal.block():
            live = [
                row
                for row in self._children(parent, step)
                if row.facts["status"] not in FINAL_STATUSES
            ]
            held = [row for row in live if self._is_held(row)]
            released = _by_item(held)[: max(0, most - len(live) + len(held))]
            return [self.save(_released(row.read())) for row in released]

    def _children(self, parent: str, step: str) -> list[Row[Execution]]:
        with self._journal.lock:
            rows = [self._files[name].execution for name in self._ids_by_parent.get(parent, ())]
        return [row for row in rows if row.facts["parent_step"] == step]

    def _is_held(self, row: Row[Execution]) -> bool:
        if row.facts["status"] != ExecutionStatus.HALTED or row.facts["fence"]:
            return False
        waits = self._files[row.facts["id"]].waits.values()
        return all(wait.facts["status"] != WaitStatus.OPEN for wait in waits)


def _by_item(rows: Sequence[Row[Execution]]) -> list[Row[Execution]]:
    return sorted(rows, key=lambda row: (row.facts["item"] or 0, row.facts["id"]))


def _released(child: Execution) -> Execution:
    return replace(
        child,
        status=ExecutionStatus.PENDING,
        recover_to=None,
        halt_data=None,
        updated_at=clock.now(),
    )
