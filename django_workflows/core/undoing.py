"""What of an execution's completed steps its compensations have undone."""

from __future__ import annotations

from collections.abc import Iterable

from django_workflows.core.execution import Entry, EntryAction


def undone(entries: Iterable[Entry]) -> list[str]:
    """Return the paths of the steps that were compensated, and not begun again since."""
    paths: list[str] = []
    for entry in entries:
        if entry.action == EntryAction.COMPENSATED:
            paths.append(entry.step_id.partition(":")[2])
        elif entry.action == EntryAction.RETRIED and entry.error is None:  # by hand
            paths.clear()
    return paths
