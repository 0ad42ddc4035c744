"""How statuses, times and places read on the pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from django.contrib.admin import AdminSite, ModelAdmin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import AlreadyResumed, WorkflowError

MINUTE = 60

#: What stands where there is nothing.
NOTHING = "-"

_FILLED = 'fill="currentColor"'
_DRAWN = 'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"'

#: Each status has a shape of its own: colours alone are lost on many people.
_SHAPES: Mapping[str, str] = {
    ExecutionStatus.PENDING: f'<circle cx="6" cy="6" r="4" {_DRAWN} stroke-dasharray="3 3"/>',
    ExecutionStatus.RUNNING: f'<path d="M2 1l9 5-9 5z" {_FILLED}/>',
    ExecutionStatus.HALTED: f'<path d="M2 1h3v10H2zM7 1h3v10H7z" {_FILLED}/>',
    ExecutionStatus.COMPLETED: f'<path d="M1.5 6.5l3 3 6-7" {_DRAWN}/>',
    ExecutionStatus.FAILED: f'<path d="M2 2l8 8M10 2l-8 8" {_DRAWN}/>',
    ExecutionStatus.CANCELLED: f'<path d="M2 6h8" {_DRAWN}/>',
}


def status_badge(status: ExecutionStatus) -> SafeString:
    """Return a status as a shape, a colour and a word."""
    return format_html(
        '<span class="wf-status wf-status-{}"><svg viewBox="0 0 12 12" aria-hidden="true">{}</svg>'
        "{}</span>",
        status,
        mark_safe(_SHAPES[status]),  # noqa: S308  of this module, not of data
        _(status.value),
    )


def name_of(execution: Any) -> str:
    """Return which workflow an execution runs, in which version."""
    version = execution.workflow_version
    return f"{execution.workflow_id} @ {version}" if version else str(execution.workflow_id)


def moment(at: datetime | None) -> SafeString | str:
    """Return how long ago, or how far ahead, a moment is; the moment itself on hovering."""
    if at is None:
        return NOTHING
    now = clock.now()
    told = _("in %(time)s") if at > now else _("%(time)s ago")
    apart = lasted(abs(now - at), rough=True, depth=2)
    return _time(at, told % {"time": apart})


def age(since: datetime) -> SafeString:
    """Return how long it is since a moment; the moment itself on hovering."""
    return _time(since, lasted(clock.now() - since, rough=True))


def _time(at: datetime, words: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', at.isoformat(), exactly(at), words
    )


def exactly(at: datetime) -> str:
    """Return a moment to the second, in the zone of the site."""
    local = timezone.localtime(at) if timezone.is_aware(at) else at
    return f"{date_format(local, 'DATE_FORMAT')} {local:%H:%M:%S %Z}".strip()


def lasted(time: timedelta, *, rough: bool = False, depth: int = 0) -> str:
    """
    Return a length of time, to be read at a glance.

    ``rough`` leaves out parts of a second, and more than one unit unless ``depth`` asks for it.
    """
    seconds = max(0.0, time.total_seconds())
    if seconds < 1 and not rough:
        return _("%(number)d ms") % {"number": round(seconds * 1000)}
    if seconds < MINUTE:
        return _("%(number)s s") % {"number": f"{seconds:.0f}" if rough else f"{seconds:.3g}"}
    now = clock.now()
    return timesince(now - time, now, depth=depth or (1 if rough else 2))


def told(error: WorkflowError) -> str:
    """Return an error as a message; of an answer that came late, who was first, and when."""
    if isinstance(error, AlreadyResumed) and error.by and error.at:
        late = _("%(by)s has answered %(step)s already, on %(at)s. Nothing was changed.")
        return late % {"by": error.by, "step": error.step, "at": exactly(error.at)}
    return str(error)


def subject_link(request: HttpRequest, site: AdminSite, subject: str | None) -> SafeString | str:
    """Return what one execution is about; see subject_links()."""
    return subject_links(request, site, [subject])[subject]


def add_links(request: HttpRequest, site: AdminSite, rows: Iterable[Any]) -> None:
    """Set ``link`` of each row of executions: what it is about; see subject_links()."""
    found = list(rows)
    links = subject_links(request, site, [row.subject for row in found])
    for row in found:
        row.link = links[row.subject]


def subject_links(
    request: HttpRequest, site: AdminSite, subjects: Collection[str | None]
) -> dict[str | None, SafeString | str]:
    """
    Return what executions are about, as links to pages in the admin, where there are some.

    Subjects are kept as ``app.model:pk``. The objects of models that the user may view are read,
    in one query for each model, and called by their names.
    """
    keys: dict[str, set[str]] = defaultdict(set)
    for subject in subjects:
        label, _colon, key = (subject or "").partition(":")
        keys[label].add(key)
    links: dict[str | None, SafeString | str] = {one: one or NOTHING for one in subjects}
    for model, admin in site._registry.items():  # noqa: SLF001  as Django's own apps do
        label = model._meta.label_lower
        wanted = keys.get(label, set()) - {""}
        objects = _objects(request, admin, wanted) if wanted else {}
        for key in wanted:
            links[f"{label}:{key}"] = _link(request, admin, key, objects.get(key))
    return links


def _objects(request: HttpRequest, admin: ModelAdmin[Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return those objects that the user may view, by key."""
    if not admin.has_view_permission(request):
        return {}
    field, ids = admin.opts.pk, []
    for key in keys:
        with suppress(ValidationError):  # of a model whose keys were others once
            id_ = field.to_python(key)
            field.run_validators(id_)  # what does not fit the column makes some databases fail
            ids.append(id_)
    return {str(one.pk): one for one in admin.get_queryset(request).in_bulk(ids).values()}


def _link(request: HttpRequest, admin: ModelAdmin[Any], key: str, one: Any) -> SafeString | str:
    words = f"{admin.opts.verbose_name} {key}"
    url = _admin_url(admin.model, key)
    if not admin.has_view_permission(request, one):
        return words
    if one is not None:
        words = str(one)
    return format_html('<a href="{}">{}</a>', url, words) if url else words


def _admin_url(model: Any, key: str) -> str | None:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    try:
        return reverse(name, args=[key])
    except NoReverseMatch:  # its admin has no such page
        return None
