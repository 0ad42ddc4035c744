"""The history of an execution, a page at a time, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce, Length
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from django_workflows.admin import texts
from django_workflows.admin.columns import top_step
from django_workflows.admin.readable import readable
from django_workflows.admin.tracebacks import Part, cleaned
from django_workflows.core.execution import EntryAction
from django_workflows.models import WorkflowEntry, WorkflowExecution

PER_PAGE = 50

#: What an entry holds is shown on the page up to so many characters; more is on its own page.
MOST_SHOWN = 4_000

#: Digits of an id that every database takes.
LONGEST_ID = 18

#: So many entries of one loop after one another are folded.
FOLD_FROM = 4

_PAYLOADS = ("input", "output", "sets")
_FAILED = {
    EntryAction.FAILED,
    EntryAction.RETRIED,
    EntryAction.TIMED_OUT,
    EntryAction.ABANDONED,
}
_TONES = {
    EntryAction.COMPLETED: "completed",
    EntryAction.COMPENSATED: "completed",
    EntryAction.SKIPPED: "cancelled",
    EntryAction.CANCELLED: "cancelled",
    **dict.fromkeys(_FAILED, "failed"),
}

_WORDS = {
    EntryAction.COMPLETED: gettext_lazy("completed"),
    EntryAction.HALTED: gettext_lazy("began to wait"),
    EntryAction.FAILED: gettext_lazy("failed"),
    EntryAction.RETRIED: gettext_lazy("to be attempted again"),
    EntryAction.RESUMED: gettext_lazy("answered"),
    EntryAction.SKIPPED: gettext_lazy("skipped"),
    EntryAction.COMPENSATED: gettext_lazy("undone"),
    EntryAction.CANCELLED: gettext_lazy("cancelled"),
    EntryAction.FORKED: gettext_lazy("forked"),
    EntryAction.TIMED_OUT: gettext_lazy("timed out"),
    EntryAction.ABANDONED: gettext_lazy("its worker fell silent"),
    EntryAction.REMINDED: gettext_lazy("reminded"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One entry, ready to be shown."""

    entry: WorkflowEntry
    words: Any
    tone: str
    when: Any
    took: str
    payloads: Sequence[tuple[str, Any]] = ()  # each with its label
    is_large: bool = False  # what it holds is on its own page
    traceback: Sequence[Part] = ()

    @property
    def names(self) -> str:
        """Return what it holds, in words."""
        return ", ".join(label for label, _value in self.payloads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Entries of one loop that follow one another."""

    key: str
    step: str
    summary: str
    failed: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A page of it."""

    parts: Sequence[Line | Fold] = field(default_factory=list)
    older: str = ""  # the query string of the next page
    newest: str = ""  # that of the first, where this is not it
    is_decisions: bool = False


def history(
    execution: WorkflowExecution, *, before: int | None = None, only: str | None = None
) -> History:
    """
    Return the entries written before the entry ``before``; the newest without it.

    ``only="decisions"`` leaves out what simply went well. Two queries, however many there are.
    """
    is_decisions = only == "decisions"
    rows = entries_of(execution)
    if is_decisions:
        rows = rows.filter(~Q(action=EntryAction.COMPLETED) | Q(error__isnull=False))
    if before is not None:
        rows = rows.filter(id__lt=before)
    found = list(rows[: PER_PAGE + 1])
    shown = found[:PER_PAGE]
    option = "&history=decisions" if is_decisions else ""
    return History(
        parts=list(_folded(lines(shown))),
        older=f"before={shown[-1].pk}{option}" if len(found) > PER_PAGE else "",
        newest=option[1:] or "history=all" if before is not None else "",
        is_decisions=is_decisions,
    )


def entry_id(text: str | None) -> int | None:
    """Return the id that an address gives; None where it gives none."""
    is_id = text is not None and text.isdecimal() and len(text) <= LONGEST_ID
    return int(text) if text is not None and is_id else None


def entries_of(execution: WorkflowExecution) -> QuerySet[WorkflowEntry]:
    """Return the entries, newest first, without what they hold but with how much that is."""
    sizes = [Coalesce(Length(name), 0) for name in _PAYLOADS]
    rows = execution.entries.order_by("-id").defer(*_PAYLOADS)
    return rows.annotate(size=sizes[0] + sizes[1] + sizes[2])


def lines(rows: Sequence[WorkflowEntry]) -> list[Line]:
    """Return entries of entries_of() ready to be shown, what the small ones hold included."""
    small = [row.pk for row in rows if 0 < row.size <= MOST_SHOWN]  # type: ignore[attr-defined]
    held = WorkflowEntry.objects.in_bulk(small) if small else {}
    return [line(row, held.get(row.pk)) for row in rows]


def line(row: Any, held: WorkflowEntry | None) -> Line:
    """Return one entry ready to be shown; ``held`` is the same with what it holds."""
    labels = (_("input"), _("output"), _("variables"))
    payloads = []
    if held is not None:
        values = (held.input, held.output, held.sets)
        payloads = [
            (label, readable(value))
            for label, value in zip(labels, values, strict=True)
            if value is not None and value != {}
        ]
    took = row.duration_ms
    return Line(
        entry=row,
        words=_WORDS[row.action],
        tone=_TONES.get(row.action, "halted"),
        when=texts.moment(row.timestamp),
        took="" if took is None else texts.lasted(timedelta(milliseconds=took)),
        payloads=payloads,
        is_large=held is None and row.size > 0,
        traceback=cleaned(row.traceback),
    )


def _folded(shown: Sequence[Line]) -> Iterator[Line | Fold]:
    for step, group in groupby(shown, key=_loop_of):
        inside = list(group)
        if not step or len(inside) < FOLD_FROM:
            yield from inside
            continue
        failed = sum(1 for one in inside if one.entry.action in _FAILED)
        told = ngettext("%(number)d entry", "%(number)d entries", len(inside))
        lost = ngettext("%(number)d failed", "%(number)d failed", failed)
        yield Fold(
            # By its oldest: newer ones come on top while it is folded open.
            key=f"fold-{inside[-1].entry.pk}",
            step=step,
            summary=told % {"number": len(inside)},
            failed=lost % {"number": failed} if failed else "",
            lines=inside,
        )


def _loop_of(shown: Line) -> str:
    """Return the step whose iterations or branches an entry belongs to; empty for none."""
    path = shown.entry.step_id
    return top_step(path) if "[" in path or "/" in path else ""
