"""How MemoryStore deletes what ended long ago."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.store import MOST_PURGED, Ended, Purged
from django_workflows.stores.memory.journal import Row
from django_workflows.stores.memory.rows import Rows


class Purging(Rows):
    """The part of MemoryStore that is about retention."""

    def ended(
        self,
        before: datetime,
        limit: int = 100,
        *,
        workflow_ids: Collection[str] | None = None,
        statuses: Collection[ExecutionStatus] | None = None,
        after: Ended | None = None,
    ) -> list[Ended]:
        wanted = FINAL_STATUSES if statuses is None else statuses
        with self._journal.lock:
            rows = [file.execution for file in self._files.values()]
            found = [
                Ended(id=row.facts["id"], finished_at=row.facts["finished_at"])
                for row in rows
                if self._is_ended_root(row, before)
                and row.facts["status"] in wanted
                and (workflow_ids is None or row.facts["workflow_id"] in workflow_ids)
            ]
        found.sort(key=_place)
        return [one for one in found if after is None or _place(one) > _place(after)][:limit]

    def purge(self, roots: Sequence[str], before: datetime, most: int = MOST_PURGED) -> Purged:
        dealt_with, deleted = 0, 0
        with self._journal.block():
            for root in roots:
                tree = self._ended_tree(root, before)
                if dealt_with and deleted + len(tree) > most:
                    break
                self._erase(tree)
                dealt_with, deleted = dealt_with + 1, deleted + len(tree)
        return Purged(roots=dealt_with, executions=deleted)

    def _is_ended_root(self, row: Row[Execution], before: datetime) -> bool:
        finished_at = row.facts["finished_at"]
        return (
            row.facts["status"] in FINAL_STATUSES
            and finished_at is not None
            and finished_at < before
            and row.facts["parent"] not in self._files
        )

    def _ended_tree(self, root: str, before: datetime) -> list[str]:
        """Return the ids of a root and of all below it, where they have ended; else nothing."""
        file = self._files.get(root)
        if file is None or not self._is_ended_root(file.execution, before):
            return []
        tree = [root]
        for name in tree:  # which grows meanwhile
            if self._files[name].execution.facts["status"] not in FINAL_STATUSES:
                return []
            tree += self._ids_by_parent.get(name, ())
        return tree

    def _erase(self, tree: Sequence[str]) -> None:
        gone, waits = set(tree), {wait for name in tree for wait in self._files[name].waits}
        for event_id, event in list(self._events.items()):
            if event.facts["taken_by"] in waits:
                self._journal.drop(self._events, event_id)
        for chore_id, chore in list(self._chores.items()):
            if chore.facts["execution_id"] in gone:
                self._journal.drop(self._chores, chore_id)
        for name in tree:
            self._drop(name)


def _place(ended: Ended) -> tuple[datetime, str]:
    return ended.finished_at, ended.id
