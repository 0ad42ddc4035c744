"""Retention: delete what ended long ago, tree by tree and in small batches."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime

from django_workflows.core.execution import FINAL_STATUSES, ExecutionStatus
from django_workflows.core.store import Ended, Purged, Store
from django_workflows.exceptions import StoreUnavailable

logger = logging.getLogger("django_workflows")

#: Trees that one batch deletes at most.
BATCH = 200

#: More children than any execution has.
_ALL = 1_000_000_000

_LIVE = [status for status in ExecutionStatus if status not in FINAL_STATUSES]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch came to: how many executions it deleted, and whether nothing comes after it."""

    deleted: int
    is_last: bool


class Purge:
    """
    Goes over what has ended, the longest ago first, and deletes it batch by batch.

    Only of ``workflow_ids`` and ``statuses``, if these are given; they are asked of the roots of
    trees, and what is below goes with them. What cannot go yet is passed over, and stands before
    the others again in the next round.
    """

    def __init__(
        self,
        workflow_ids: Collection[str] | None = None,
        statuses: Collection[ExecutionStatus] | None = None,
    ) -> None:
        self.workflow_ids = workflow_ids
        self.statuses = statuses
        self._place: Ended | None = None

    def batch(self, store: Store, before: datetime, limit: int = BATCH) -> Batch:
        """Delete the next trees that ended before ``before``, in one transaction."""
        found = self._page(store, before, limit, self._place)
        if not found:
            self._place = None
            return Batch(0, is_last=True)
        purged = _purge(store, [one.id for one in found], before)
        is_last = purged.roots == len(found) < limit
        self._place = None if is_last else found[purged.roots - 1]
        return Batch(purged.executions, is_last)

    def count(self, store: Store, before: datetime, limit: int = BATCH) -> Purged:
        """Return how many trees, and executions in them, would be deleted; delete nothing."""
        roots, executions = 0, 0
        for page in self._pages(store, before, limit):
            parents = store.with_children([one.id for one in page])
            sizes = [_size(store, one.id) if one.id in parents else 1 for one in page]
            roots += sum(size > 0 for size in sizes)
            executions += sum(sizes)
        return Purged(roots=roots, executions=executions)

    def _pages(self, store: Store, before: datetime, limit: int) -> Iterator[list[Ended]]:
        page = self._page(store, before, limit, None)
        while page:
            yield page
            page = self._page(store, before, limit, page[-1])

    def _page(self, store: Store, before: datetime, limit: int, after: Ended | None) -> list[Ended]:
        return store.ended(
            before, limit, workflow_ids=self.workflow_ids, statuses=self.statuses, after=after
        )


def _purge(store: Store, roots: list[str], before: datetime) -> Purged:
    """Delete trees; where that is refused, all but those because of which it is."""
    try:
        return store.purge(roots, before)
    except StoreUnavailable:
        raise
    except Exception:
        if len(roots) == 1:
            logger.exception(
                "Execution %s has ended and cannot be purged; does something refer to it?",
                roots[0],
                extra={"execution_id": roots[0]},
            )
            return Purged(roots=1, executions=0)
    return _purge(store, roots[: len(roots) // 2], before)  # the others come with the next batch


def _size(store: Store, root: str) -> int:
    """Return how many executions a tree has; none where something below its root lives."""
    level, size = [root], 0
    while level:
        size += len(level)
        parents, level = store.with_children(level), []
        for parent in parents:
            if any(store.execution_ids(parent=parent, status=one, limit=1) for one in _LIVE):
                return 0
            level += store.execution_ids(parent=parent, limit=_ALL)
    return size
