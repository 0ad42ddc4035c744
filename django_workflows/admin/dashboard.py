"""The dashboard: how much there is, how it goes, what has waited longest, and who is at work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_workflows import health, reports
from django_workflows.admin import texts
from django_workflows.admin.base import EXECUTION, EXECUTIONS, Page, page
from django_workflows.conf import settings
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.presence import Presence
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import StoreUnavailable
from django_workflows.models import ExecutionQuerySet, WorkflowExecution, WorkflowWait
from django_workflows.permissions import sees_all
from django_workflows.pictures import chart

#: Seconds for which the doctor's findings are shown as they are.
ASKED_EVERY = 10.0

#: So many overdue timers are shown.
MOST_OVERDUE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A count that leads to the list of what it counts."""

    status: ExecutionStatus
    badge: SafeString
    count: reports.Count
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A process as the table shows it."""

    name: str
    does: Any
    queues: str
    threads: int
    adapter: str
    started: Any
    seen: Any


@page
class DashboardPage(Page):
    """See above. It is kept up to date while it is looked at."""

    name = "dashboard"
    path = "dashboard/"
    title = _("Dashboard")
    template = "admin/django_workflows/dashboard.html"
    live_template = "admin/django_workflows/dashboard_live.html"
    nav = 10

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """Read all of it; of workers and findings only who sees every execution is told."""
        visible = WorkflowExecution.objects.visible_to(request.user)
        hours = reports.per_hour(visible)
        oldest = reports.oldest_wait(visible)
        context: dict[str, Any] = {
            "tiles": tiles(visible),
            "hours": hours,
            "chart": chart.svg(hours),
            "oldest": oldest,
            "oldest_age": oldest and texts.age(oldest.opened_at),
            "oldest_url": oldest and reverse(f"admin:{EXECUTION}", args=[oldest.execution_id]),
            **overdue(visible),
        }
        if sees_all(request.user):
            context |= process_context()
        return context


def tiles(visible: ExecutionQuerySet) -> list[Tile]:
    """Return the count of each status."""
    listed = reverse(f"admin:{EXECUTIONS}")
    return [
        Tile(
            status=status,
            badge=texts.status_badge(status),
            count=count,
            url=f"{listed}?{urlencode({'status': status.value})}",
        )
        for status, count in reports.counts(visible).items()
    ]


def overdue(visible: ExecutionQuerySet) -> dict[str, Any]:
    """Return what should have been woken by now: how many waits, and the first of them."""
    late = clock.now() - timedelta(seconds=2 * settings.SWEEP_INTERVAL)
    waits = WorkflowWait.objects.filter(
        status=WaitStatus.OPEN, wake_at__lt=late, execution__in=visible
    )
    shown = list(waits.select_related("execution").order_by("wake_at")[:MOST_OVERDUE])
    for wait in shown:
        wait.since = texts.moment(wait.wake_at)  # type: ignore[attr-defined]  # for the template
    few = len(shown) < MOST_OVERDUE
    count = reports.Count(len(shown)) if few else reports.count_of(waits)
    return {"overdue": count, "overdue_waits": shown}


def process_context() -> dict[str, Any]:
    """Return who is at work, and what the doctor finds."""
    try:
        alive = health.alive()
    except StoreUnavailable as error:
        return {"sees_processes": True, "store_error": str(error)}
    return {
        "sees_processes": True,
        "workers": workers(alive),
        "findings": doctor.findings(),
    }


class Doctor:
    """Asks for findings at most every ASKED_EVERY seconds: what is pending is read for them."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Ask anew the next time."""
        self._found: list[health.Finding] = []
        self._until = 0.0

    def findings(self) -> list[health.Finding]:
        """Return what is wrong, as of lately."""
        if time.monotonic() >= self._until:
            self._found = list(health.findings())
            self._until = time.monotonic() + ASKED_EVERY
        return self._found


doctor = Doctor()


def workers(alive: Sequence[Presence]) -> list[Worker]:
    """Return the processes that were seen lately, workers first."""
    both, drives, sweeps = _("worker, supervisor"), _("worker"), _("supervisor")
    return [
        Worker(
            name=f"{one.host}:{one.pid}",
            does=(both if one.swept_at else drives) if one.drives else sweeps,
            queues=", ".join(one.queues) or (_all_queues() if one.drives else "-"),
            threads=one.threads,
            adapter=one.adapter.rpartition(".")[2],
            started=texts.moment(one.started_at),
            seen=texts.moment(one.seen_at),
        )
        for one in sorted(alive, key=lambda one: (not one.drives, one.host, one.pid))
    ]


def _all_queues() -> str:
    return str(_("all queues"))
