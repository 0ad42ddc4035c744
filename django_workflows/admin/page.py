"""The page of one execution."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from django_workflows import api, pictures, reports
from django_workflows.admin import texts
from django_workflows.admin.actions_offers import offers
from django_workflows.admin.actions_waits import shown_waits
from django_workflows.admin.base import Page, etag, live, page, unchanged
from django_workflows.admin.columns import duration, reach
from django_workflows.admin.family import family, place_of
from django_workflows.admin.history import entries_of, entry_id, history, line
from django_workflows.admin.looking import RowPage, link_to, visible_execution
from django_workflows.admin.readable import readable
from django_workflows.admin.tracebacks import Part, cleaned
from django_workflows.core import clock
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.waits import Wait
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.models import WorkflowEntry, WorkflowExecution, WorkflowWait

#: Entries that the pictures are made of: the newest.
MOST_DRAWN = 2_000
MOST_BARS = 300

#: Waits that a page shows, the newest: a loop may leave thousands.
MOST_WAITS = 50

_LIGHT = (
    "id",
    "execution_id",
    "step_id",
    "step_type",
    "action",
    "attempt",
    "duration_ms",
    "error",
    "by",
    "timestamp",
)


class ExecutionPage(RowPage):
    """One execution: why it is where it is, what it did, and what can be done about it."""

    name = "execution"
    title = gettext_lazy("Execution")
    template = "admin/django_workflows/execution.html"
    live_template = "admin/django_workflows/execution_live.html"

    def _respond(self, request: HttpRequest, kwargs: dict[str, Any]) -> HttpResponse:
        if "live" not in request.GET:
            return super()._respond(request, kwargs)
        execution = visible_execution(request, kwargs["execution_id"])
        tag = state_tag(request, execution)
        if request.headers.get("If-None-Match") == tag:
            return unchanged(tag)
        context = self.get(request, **kwargs)
        goes_on = not execution.status.is_final
        response = live(request, self.live_template, context, goes_on=goes_on)
        response["ETag"] = tag
        return response

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """See Page.get()."""
        row = visible_execution(request, kwargs["execution_id"])
        execution = row.to_core()
        waits = waits_of(row)
        shown = shown_waits(request, execution, waits)
        return {
            "title": texts.name_of(row),
            "execution": row,
            "badge": texts.status_badge(row.status),
            "why": api.explain(row.pk),
            "offers": offers(request, execution),
            "open_waits": [wait for wait in shown if wait.is_open],
            "closed_waits": [wait for wait in shown if not wait.is_open],
            "facts": facts(request, self, row),
            "error": error_of(row),
            "data": data_of(row),
            "family": family(request, row),
            "history": history(
                row,
                before=entry_id(request.GET.get("before")),
                only=request.GET.get("history"),
            ),
            "live_url": live_url(request) if not row.status.is_final else "",
            "live_tag": state_tag(request, row),
            **pictures_of(row, execution, waits),
        }


def live_url(request: HttpRequest) -> str:
    """Return where the live part of the page is read, at the same place of its history."""
    kept = {name: request.GET[name] for name in ("before", "history") if name in request.GET}
    return f"?{urlencode({**kept, 'live': 1})}"


def state_tag(request: HttpRequest, row: WorkflowExecution) -> str:
    """Return an ETag that differs once the page would; three small queries."""
    last = row.entries.aggregate(last=Max("id"))["last"]
    waits = row.waits.order_by("-opened_at").values_list("pk", "status", "answers")[:MOST_WAITS]
    children = WorkflowExecution.objects.filter(parent=row.pk)
    minute = clock.now().replace(second=0, microsecond=0)  # ages are told to the minute
    seen = (
        row.pk,
        row.updated_at,
        row.fence,
        row.status,
        last,
        [(wait, status, len(answers)) for wait, status, answers in waits],
        list(reports.counts(children, cap=1_000).values()),
        minute,
        request.user.pk,
        get_language(),
        live_url(request),
    )
    return etag(repr(seen))


def waits_of(row: WorkflowExecution) -> list[WorkflowWait]:
    """Return the waits of an execution in the order of their opening, of many the newest."""
    return list(row.waits.order_by("-opened_at", "-id")[:MOST_WAITS])[::-1]


def facts(request: HttpRequest, page: Page, row: WorkflowExecution) -> list[tuple[str, Any]]:
    """Return what is told in pairs of words, without what there is not."""
    took = duration(row)
    far = reach(row)
    told = [
        (_("Step"), row.current_step),
        (_("Attempt"), row.attempt),
        (_("Progress"), f"{far.step}/{far.steps}" if far else None),
        (_("About"), texts.subject_link(request, page.admin_site, row.subject)),
        (_("Started by"), row.started_by),
        (_("Created"), _at(row.created_at)),
        (_("Begun"), _at(row.started_at)),
        (_("Ended"), _at(row.finished_at)),
        (_("Took") if row.finished_at else _("Takes so far"), took and texts.lasted(took)),
        (_("Deadline"), None if row.finished_at else _at(row.deadline_at)),
        (_("Driven by"), row.lease_owner),
        (_("Lease ends"), _at(row.lease_expires_at)),
        (_("Queue"), row.queue),
        (_("Priority"), row.priority or None),
        (_("Idempotency key"), row.idempotency_key),
        (_("Child of"), place_of(row) or None),
        (_("Id"), row.pk),
    ]
    return [(words, value) for words, value in told if value not in {None, "", texts.NOTHING}]


def _at(moment: datetime | None) -> Any:
    return None if moment is None else texts.moment(moment)


def error_of(row: WorkflowExecution) -> dict[str, Any] | None:
    """Return the error of an execution, with the newest traceback that there is."""
    if row.error is None:
        return None
    told = row.entries.filter(traceback__isnull=False).order_by("-id")
    entry = told.only("step_id", "attempt", "traceback", "timestamp").first()
    parts: Sequence[Part] = cleaned(entry.traceback) if entry else ()
    first, _break, more = row.error.partition("\n")
    return {"first": first, "more": more, "entry": entry, "traceback": parts}


def data_of(row: WorkflowExecution) -> list[tuple[str, str, Any]]:
    """Return what an execution holds: key, title and value, without what is not there."""
    held = [
        ("input", _("Input"), row.input),
        ("ctx", _("Variables"), row.ctx),
        ("halt", _("What it waits with"), row.halt_data),
        ("result", _("Result"), row.result),
    ]
    return [(key, title, readable(value)) for key, title, value in held if value is not None]


def pictures_of(
    row: WorkflowExecution, execution: Execution, waits: Sequence[WorkflowWait]
) -> dict[str, Any]:
    """Return graph and timeline, each with the rows of its table."""
    newest = list(row.entries.only(*_LIGHT).order_by("-id")[:MOST_DRAWN])
    # Rows have what pictures are made of.
    entries = cast("list[Entry]", newest[::-1])
    open_waits = cast("list[Wait]", list(waits))
    bars = pictures.timeline.bars(execution, entries[-MOST_BARS:], open_waits)
    return {
        "graph": pictures.graph.svg(execution, entries, open_waits),
        "graph_rows": pictures.graph.rows(execution, entries, open_waits),
        "timeline": pictures.timeline.svg(bars),
        "bars": [(bar, texts.lasted(bar.lasted()), texts.exactly(bar.begins)) for bar in bars],
        "is_timeline_cut": len(newest) > MOST_BARS,
        "most_bars": MOST_BARS,
    }


@page
class EntryPage(RowPage):
    """One entry of a history, with all that it holds."""

    name = "entry"
    path = "<uuid:execution_id>/entry/<int:entry_id>/"
    title = gettext_lazy("Entry")
    template = "admin/django_workflows/execution_entry.html"

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """See Page.get()."""
        execution = visible_execution(request, kwargs["execution_id"])
        held = WorkflowEntry.objects.filter(execution=execution, pk=kwargs["entry_id"]).first()
        row = entries_of(execution).filter(pk=kwargs["entry_id"]).first()
        if row is None or held is None:
            raise ExecutionNotFound(f"{execution.pk}, entry {kwargs['entry_id']}")
        shown = line(row, held)
        return {
            "title": f"{row.step_id}: {shown.words}",
            "parents": [link_to(execution)],
            "line": shown,
            "exactly": texts.exactly(row.timestamp),
        }
