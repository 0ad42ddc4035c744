"""How executions, entries and waits look: in words for people, as data for programs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from django_workflows.core import clock
from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.waits import Wait
from django_workflows.management.screens import Screen, Tone, Words, clip, compact
from django_workflows.pictures.drawing import duration

_STATUS: dict[ExecutionStatus, tuple[str, Tone]] = {
    ExecutionStatus.PENDING: ("○", "faint"),
    ExecutionStatus.RUNNING: ("▶", "busy"),
    ExecutionStatus.HALTED: ("‖", "waiting"),
    ExecutionStatus.COMPLETED: ("✓", "good"),
    ExecutionStatus.FAILED: ("✗", "bad"),
    ExecutionStatus.CANCELLED: ("⊘", "faint"),
}

_ACTIONS: dict[EntryAction, Tone] = {
    EntryAction.COMPLETED: "good",
    EntryAction.HALTED: "waiting",
    EntryAction.FAILED: "bad",
    EntryAction.RETRIED: "bad",
    EntryAction.TIMED_OUT: "bad",
    EntryAction.ABANDONED: "bad",
    EntryAction.RESUMED: "busy",
}

#: Signs of an error, or of a value, that a line shows.
LONGEST = 200

EXECUTION_HEADINGS = ("ID", "WORKFLOW", "VERSION", "STATUS", "STEP", "STARTED", "SUBJECT", "ERROR")
#: Cells that a terminal has no room for; a pipe gets all of them.
_WITHOUT = {"VERSION"}
WAIT_HEADINGS = ("EXECUTION", "STEP", "KIND", "SINCE", "UNTIL", "ASKS", "PROMPT")
ENTRY_HEADINGS = ("TIME", "STEP", "WHAT", "ATTEMPT", "TOOK", "BY", "ERROR")


def status_words(status: ExecutionStatus, screen: Screen) -> Words:
    """Return a status; where somebody looks, with the sign that tells it without colour."""
    sign, tone = _STATUS[status]
    return Words(f"{sign} {status.value}" if screen.is_live else status.value, tone)


def when(moment: datetime | None) -> str:
    """Return a moment in the server's time zone, exact to the second; nothing for None."""
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M:%S}" if moment else ""


def headings(screen: Screen) -> list[str]:
    """Return what stands above the cells of execution_row()."""
    return [name for name in EXECUTION_HEADINGS if not (screen.is_live and name in _WITHOUT)]


def execution_row(execution: Execution, screen: Screen) -> list[str]:
    """Return the cells under headings(): for a pipe those of EXECUTION_HEADINGS."""
    started = execution.started_at or execution.created_at
    cells = [
        execution.id,
        execution.workflow_id,
        execution.workflow_version,
        status_words(execution.status, screen),
        execution.current_step or "",
        f"{duration(clock.now() - started)} ago" if screen.is_live else when(started),
        execution.subject or "",
        Words(clip(execution.error or "", LONGEST), "bad"),
    ]
    named = zip(EXECUTION_HEADINGS, cells, strict=True)
    return [cell for name, cell in named if not (screen.is_live and name in _WITHOUT)]


def entry_row(entry: Entry) -> list[str]:
    """Return the cells under ENTRY_HEADINGS."""
    took = "" if entry.duration_ms is None else f"{entry.duration_ms} ms"
    return [
        when(entry.timestamp),
        entry.step_id,
        Words(entry.action.value, _tone(entry)),
        str(entry.attempt),
        took,
        entry.by or "",
        Words(clip(entry.error or "", LONGEST), "bad"),
    ]


def _tone(entry: Entry) -> Tone:
    if entry.action == EntryAction.RETRIED and entry.error is None:
        return "busy"  # by a person, and no failure
    return _ACTIONS.get(entry.action, "")


def wait_row(wait: Wait, screen: Screen) -> list[str]:
    """Return the cells under WAIT_HEADINGS."""
    since, until = when(wait.opened_at), when(wait.wake_at)
    if screen.is_live:
        since = f"{duration(clock.now() - wait.opened_at)} ago"
        until = f"in {duration(wait.wake_at - clock.now())}" if wait.wake_at else ""
    return [
        wait.execution_id,
        wait.step,
        wait.kind.value,
        since,
        until,
        ", ".join(wait.approvers),
        clip(wait.prompt or "", LONGEST),
    ]


def show_execution(execution: Execution, screen: Screen) -> None:
    """Show one execution as one line: a sentence where somebody looks, else fields."""
    if not screen.is_live:
        screen.table((), [execution_row(execution, screen)])
        return
    words = status_words(execution.status, screen)
    is_done = execution.status == ExecutionStatus.COMPLETED
    at = f" at {execution.current_step}" if execution.current_step and not is_done else ""
    error = f": {execution.error}" if execution.error else ""
    line = f"{execution.id}  {execution.workflow_id}  {words}{at}{error}"
    screen.say(Words(line, words.tone))


def facts_of(execution: Execution, why: str, screen: Screen, *, whole: bool) -> list[Fact]:
    """Return what is known of an execution, by name; ``whole`` clips no data."""

    def data(value: object) -> str:
        return compact(value) if whole else clip(compact(value), LONGEST)

    took = (execution.finished_at or clock.now()) - (execution.started_at or execution.created_at)
    facts: list[Fact] = [
        ("id", execution.id),
        ("workflow", f"{execution.workflow_id} {execution.workflow_version}".rstrip()),
        ("status", status_words(execution.status, screen)),
        ("why", why),
        ("step", execution.current_step or ""),
        ("subject", execution.subject or ""),
        ("started", when(execution.started_at)),
        ("started by", execution.started_by or ""),
        ("ended", when(execution.finished_at)),
        ("took", duration(took) if execution.started_at else ""),
        ("deadline", when(execution.deadline_at)),
        ("parent", execution.parent or ""),
        ("key", execution.idempotency_key or ""),
        ("queue", execution.queue or ""),
        ("input", data(execution.input)),
        ("variables", data(execution.ctx)),
        ("result", "" if execution.result is None else data(execution.result)),
        ("error", Words(execution.error or "", "bad")),
    ]
    return [fact for fact in facts if fact[1]]


Fact = tuple[str, str]


def as_data(
    execution: Execution, why: str, entries: Sequence[Entry], waits: Sequence[Wait]
) -> dict[str, Any]:
    """Return all that is known of an execution as plain JSON data."""
    return {
        **execution.to_dict(),
        "why": why,
        "entries": [entry.to_dict() for entry in entries],
        "waits": [wait.to_dict() for wait in waits],
    }


def tell_earlier(number: int, screen: Screen) -> None:
    """Say how many entries there are before those that are shown, if any."""
    if not number:
        return
    if screen.has_headings:
        screen.say(Words(f"… and {number:,} before; --all shows them", "faint"))
    else:
        screen.table((), [["earlier", str(number)]])
