"""
What is still to be done after a commit, written in that commit.

Whoever writes a chore does it right afterwards and crosses it off. Where that process dies in
between, a supervisor does it, once it is due: so nothing that belongs together can be torn apart.
Doing a chore twice does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from django_workflows.core import clock
from django_workflows.core.ids import new_id
from django_workflows.core.records import Record, as_value

#: How long whoever wrote a chore has it to himself.
GRACE = timedelta(seconds=5)


class ChoreKind(StrEnum):
    """What is to be done."""

    MEET = "meet"  # look whether the events and children that ``execution_id`` waits for are there
    DELIVER = "deliver"  # give the events of the topic ``target`` to whoever waits for them
    CANCEL = "cancel"  # cancel the child ``target`` of ``execution_id``
    CANCEL_CHILDREN = "cancel_children"  # cancel those of its step ``target``; all, if empty
    UNDO_CHILDREN = "undo_children"  # the same, and undo what they did
    REMIND = "remind"  # tell that the wait ``target`` of ``execution_id`` has stood open for long


def _soon() -> datetime:
    return clock.now() + GRACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Chore(Record):
    """One thing to be done after a commit."""

    id: str = field(default_factory=new_id)
    kind: ChoreKind = as_value(ChoreKind)
    execution_id: str | None = None
    target: str = ""
    reason: str = ""  # for the history: why
    by: str | None = None  # and on whose behalf
    due_at: datetime = field(default_factory=_soon)
