"""How verbs read a history: the end of it, and then what is new."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from django.db.models import QuerySet

from django_workflows import wiring
from django_workflows.core.execution import Entry
from django_workflows.models import WorkflowEntry
from django_workflows.stores.orm import OrmStore

#: Entries that are told of, unless said otherwise: a loop may leave a hundred thousand.
MOST = 200

#: Entries that a picture is made of: fewer columns are read of each.
MOST_DRAWN = 2_000

_DRAWN = ("id", "execution_id", "step_id", "step_type", "action")


class History:
    """
    The history of an execution, read from its end.

    Of the OrmStore, only the rows that are asked for; of another store all of it, each time.
    """

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        self._place = 0  # the id of the last row that was read, or how many entries were

    def last(self, most: int | None = MOST) -> tuple[list[Entry], int]:
        """Return the last ``most`` entries, all for None, and how many there are before them."""
        rows = self._rows()
        if rows is None:
            entries = self._entries()
            self._place = len(entries)
            shown = entries if most is None else entries[-most:]
            return shown, len(entries) - len(shown)
        found, before = _last(rows, most)
        self._place = found[-1].id if found else 0
        return [row.to_core() for row in found], before

    def new(self) -> list[Entry]:
        """Return what was written since the last call, of this or of last()."""
        rows = self._rows()
        if rows is None:
            entries = self._entries()[self._place :]
            self._place += len(entries)
            return entries
        found = list(rows.filter(id__gt=self._place).order_by("id"))
        self._place = found[-1].id if found else self._place
        return [row.to_core() for row in found]

    def drawn(self, most: int | None = MOST_DRAWN) -> tuple[Sequence[Entry], int]:
        """Return what graphs are made of; see last()."""
        rows = self._rows()
        if rows is None:
            return self.last(most)
        # Rows have what pictures are made of.
        return cast("tuple[Sequence[Entry], int]", _last(rows.only(*_DRAWN), most))

    def _entries(self) -> list[Entry]:
        return wiring.store().entries(self.execution_id)

    def _rows(self) -> QuerySet[WorkflowEntry] | None:
        store = wiring.store()
        if not isinstance(store, OrmStore):
            return None
        rows: Any = WorkflowEntry.objects.using(store.using)
        return cast("QuerySet[WorkflowEntry]", rows.filter(execution=self.execution_id))


def _last(rows: QuerySet[WorkflowEntry], most: int | None) -> tuple[list[WorkflowEntry], int]:
    found = list(rows.order_by("-id")[:most])[::-1]
    if most is None or len(found) < most:
        return found, 0
    return found, rows.filter(id__lt=found[0].id).count()
