"""When what happened: a bar for each attempt at a step, and for each wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from django_workflows.core import clock
from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.graph.shapes import clipped, element, text, text_width
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.pictures.axis import Axis
from django_workflows.pictures.drawing import (
    LOST,
    PASSED,
    WAIT,
    WORK,
    cross,
    duration,
    hatching,
    moment,
    picture,
    span,
    titled,
)

Kind = Literal["work", "wait", "failed", "skipped"]

#: Steps that a picture shows; of what has more, the first ones. Its table has them all.
MOST_ROWS = 100
#: Bars drawn in one picture.
MOST_BARS = 2_000

#: By how much the duration of an entry may be off.
_ROUNDING = timedelta(milliseconds=1)

_ROW, _BAR, _TOP, _LEFT, _WIDTH, _RIGHT = 24.0, 14.0, 30.0, 190.0, 560.0, 90.0

_FAILED = {
    EntryAction.FAILED,
    EntryAction.RETRIED,
    EntryAction.TIMED_OUT,
    EntryAction.ABANDONED,
}
_WORKED = {EntryAction.COMPLETED, EntryAction.COMPENSATED, EntryAction.HALTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Something that took time: work or a wait; or that was passed over in no time."""

    step: str  # a path: ``each_item[3]/charge``
    kind: Kind
    begins: datetime
    ends: datetime | None  # None: it lasts still
    attempt: int
    label: str  # what happened, in words

    def lasted(self, now: datetime | None = None) -> timedelta:
        """Return how long it took, or takes by now."""
        return (self.ends or now or clock.now()) - self.begins


def bars(
    execution: Execution,
    entries: Iterable[Entry],
    waits: Iterable[Wait],
    now: datetime | None = None,
) -> list[Bar]:
    """
    Return the bars of an execution in the order in which they begin.

    What is under way, a step or a wait, has no end. ``execution`` is a record or its row, and so
    are the others.
    """
    known = list(entries)
    found = list(_of_entries(known))
    found += [_of_wait(wait) for wait in waits]
    if execution.status == ExecutionStatus.RUNNING and execution.current_step:
        began = known[-1].timestamp if known else execution.started_at or execution.created_at
        found.append(
            Bar(
                step=execution.current_step,
                kind="work",
                begins=min(began, now or clock.now()),
                ends=None,
                attempt=execution.attempt,
                label=_("running"),
            )
        )
    return sorted(found, key=lambda bar: bar.begins)


def _of_entries(entries: Iterable[Entry]) -> Iterator[Bar]:
    """
    Generate the bars of entries.

    A duration is kept in whole milliseconds: by its rounding alone, a bar would seem to begin
    before the step that it came after.
    """
    before = None
    for entry in entries:
        bar = _of_entry(entry)
        if bar is not None:
            if before is not None and bar.begins < before <= bar.begins + _ROUNDING:
                bar = replace(bar, begins=min(before, bar.ends or before))
            yield bar
        before = entry.timestamp


def _of_entry(entry: Entry) -> Bar | None:
    kind: Kind
    if entry.action == EntryAction.RETRIED and entry.error is None:
        return None  # somebody had it driven again
    if entry.action in _FAILED:
        kind = "failed"
    elif entry.action == EntryAction.SKIPPED:
        kind = "skipped"
    elif entry.action in _WORKED:
        kind = "work"
    else:
        return None  # a person did something, which the history tells and takes no time
    if entry.action == EntryAction.HALTED and not entry.duration_ms:
        return None  # its wait is what is to be seen
    return Bar(
        step=entry.step_id,
        kind=kind,
        begins=entry.timestamp - timedelta(milliseconds=entry.duration_ms or 0),
        ends=entry.timestamp,
        attempt=entry.attempt,
        label=_said(entry),
    )


def _said(entry: Entry) -> str:
    words = {
        EntryAction.COMPLETED: _("completed"),
        EntryAction.COMPENSATED: _("undone"),
        EntryAction.HALTED: _("halted"),
        EntryAction.FAILED: _("failed"),
        EntryAction.RETRIED: _("failed, and was attempted again"),
        EntryAction.TIMED_OUT: _("timed out"),
        EntryAction.ABANDONED: _("its worker fell silent"),
        EntryAction.SKIPPED: _("skipped"),
    }[entry.action]
    who = _(" by %(name)s") % {"name": entry.by} if entry.by else ""
    error = f": {clipped(entry.error, 200)}" if entry.error else ""
    return f"{words}{who}{error}"


def _of_wait(wait: Wait) -> Bar:
    words = {
        WaitKind.HALT: _("halted"),
        WaitKind.APPROVAL: _("waiting for an approval"),
        WaitKind.TIMER: _("sleeping"),
        WaitKind.EVENT: _("waiting for an event"),
        WaitKind.CHILD: _("waiting for a child"),
        WaitKind.RETRY: _("pausing before the next attempt"),
    }[wait.kind]
    is_open = wait.status == WaitStatus.OPEN
    return Bar(
        step=wait.step,
        kind="wait",
        begins=wait.opened_at,
        # One that was withdrawn was answered by nobody, and ended with what withdrew it.
        ends=None if is_open else wait.settled_at or wait.opened_at,
        attempt=1,
        label=words,
    )


def svg(bars: Sequence[Bar], now: datetime | None = None) -> SafeString:
    """Return the bars as a picture: a row for each step, retries behind one another in it."""
    now = now or clock.now()
    if not bars:
        name = _("Timeline: nothing has happened yet")
        words = text(_LEFT, 24, name, faint=True)
        return picture(2 * _LEFT, 40, name, words)
    axis = Axis([(bar.begins, bar.ends or now, bar.kind == "wait") for bar in bars], _WIDTH)
    rows: dict[str, list[Bar]] = {}
    for bar in bars:
        rows.setdefault(bar.step, []).append(bar)
    shown = dict(list(rows.items())[:MOST_ROWS])
    height = _TOP + _ROW * len(shown) + 8
    left = len(rows) - len(shown)
    parts = [*_grid(axis, height)]
    drawn = 0
    for place, (step, those) in enumerate(shown.items()):
        top = _TOP + _ROW * place
        parts.append(_name(step, top))
        parts += [_drawn(bar, axis, top, now) for bar in those[: max(0, MOST_BARS - drawn)]]
        parts.append(_length(those, axis, top, now))
        drawn += len(those)
    if left:
        more = ngettext("and %(number)s more step", "and %(number)s more steps", left)
        parts.append(text(_LEFT, height + 14, more % {"number": f"{left:,}"}, size=11, faint=True))
        height += 24
    name = _("Timeline from %(begins)s to %(ends)s") % {
        "begins": moment(axis.begins),
        "ends": moment(axis.ends),
    }
    return picture(_LEFT + _WIDTH + _RIGHT, height, name, *parts)


def _grid(axis: Axis, height: float) -> Iterator[str]:
    lines = " ".join(
        f"M{_LEFT + x:.1f},{_TOP - 6:.1f} V{height - 6:.1f}" for x in (0.0, axis.width)
    )
    yield element("path", d=lines, stroke="currentColor", stroke_opacity=0.25, **_class("grid"))
    yield text(_LEFT, 14, moment(axis.begins), size=11, faint=True, text_anchor="start")
    yield text(_LEFT + axis.width, 14, moment(axis.ends), size=11, faint=True, text_anchor="end")
    for begin, end in axis.shortened:
        words = _("time not to scale")
        edges = f"M{_LEFT + begin:.1f},{_TOP - 8:.1f} H{_LEFT + end:.1f}"
        dashes = element("path", d=edges, stroke="currentColor", stroke_dasharray="1 4")
        yield titled(words, dashes)


def _name(step: str, top: float) -> str:
    words = clipped(step, 26)
    label = text(_LEFT - 12, top + 12, words, size=12, text_anchor="end")
    return titled(step, label)


def _drawn(bar: Bar, axis: Axis, top: float, now: datetime) -> str:
    left = _LEFT + axis.at(bar.begins)
    width = max(4.0 if bar.kind != "failed" else 9.0, _LEFT + axis.at(bar.ends or now) - left)
    left = min(left, _LEFT + axis.width - width)
    title = f"{bar.step}: {bar.label}; {span(bar.begins, bar.ends, now)}"
    if bar.attempt > 1:
        title = f"{title}; " + _("attempt %(number)s") % {"number": bar.attempt}
    box = {"x": left, "y": top, "width": width, "height": _BAR, "rx": 3.0}
    if bar.kind == "wait":
        lines = hatching(left, top, width, _BAR)
        inside = element("path", d=lines, stroke=WAIT, stroke_width=1.2) if lines else ""
        shape = element("rect", stroke=WAIT, stroke_width=1.4, **box) + inside
    elif bar.kind == "skipped":
        shape = element("rect", stroke=PASSED, stroke_width=1.4, stroke_dasharray="3 2", **box)
    elif bar.kind == "failed":
        shape = element("rect", fill=LOST, **box) + cross(left + width - 4.5, top + _BAR / 2)
    else:
        shape = element("rect", fill=WORK, **box)
    return titled(title, shape, data_kind=bar.kind, **_class(bar.kind))


def _length(those: Sequence[Bar], axis: Axis, top: float, now: datetime) -> str:
    """Return how long the step took, waits apart from work, behind its last bar."""
    work = sum((bar.lasted(now) for bar in those if bar.kind != "wait"), timedelta())
    wait = sum((bar.lasted(now) for bar in those if bar.kind == "wait"), timedelta())
    words = duration(max(work, wait))
    room = text_width(words, 11) + 8
    end = _LEFT + max(axis.at(bar.ends or now) for bar in those) + 12
    return text(
        min(end, _LEFT + _WIDTH + _RIGHT - room),
        top + 11,
        words,
        size=11,
        faint=True,
        text_anchor="start",
    )


def _class(kind: str) -> dict[str, str]:
    return {"class": f"wf-{kind}"}
