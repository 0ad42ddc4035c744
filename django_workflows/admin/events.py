"""The form that sends an event, and what waits for one."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_workflows import api
from django_workflows.admin import texts
from django_workflows.admin.base import EXECUTION, Page, page, page_context
from django_workflows.admin.typed_fields import Blank, JSONText
from django_workflows.core.waits import InboxEvent, WaitKind, WaitStatus
from django_workflows.exceptions import PayloadError
from django_workflows.models import WorkflowEvent, WorkflowExecution, WorkflowWait
from django_workflows.permissions import authorize, label, may, sees_all

#: So many waits, and so many events that nobody has taken, are shown.
MOST_SHOWN = 20


class EventForm(forms.Form):
    """What send_event() takes."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=200)
    key = forms.CharField(
        label=gettext_lazy("Key"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("Which of the things that the event may be about, such as an id."),
    )
    body = JSONText(
        label=gettext_lazy("Data"),
        required=False,
        schema={},
        help_text=gettext_lazy("Written as JSON; the output of the step that waits."),
    )


@page
class EventsPage(Page):
    """See above. Whoever may resume executions may send events, for that is what they do."""

    name = "events"
    path = "events/"
    title = gettext_lazy("Send event")
    template = "admin/django_workflows/events.html"
    nav = 60

    def enter(self, request: HttpRequest) -> None:
        """Raise NotAllowed."""
        authorize(request.user, "resume")

    def offered(self, request: HttpRequest) -> bool:
        """See Page.offered()."""
        return may(request.user, "resume")

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """Show the form, filled in by ``?name=`` and ``?key=``."""
        return {"form": EventForm(initial=request.GET.dict()), **self._waiting(request)}

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Send one, and say who took it."""
        form = EventForm(request.POST)
        if form.is_valid():
            sent = _sent(request, form)
            if sent is not None:
                messages.success(request, _taken(request, sent))
                return HttpResponseRedirect(self.url())
        around = page_context(request, self.admin_site, current=self.name)
        context = {**around, "title": self.title, "page": self, **self._waiting(request)}
        return TemplateResponse(request, self.template, {**context, "form": form})

    def _waiting(self, request: HttpRequest) -> dict[str, Any]:
        visible = WorkflowExecution.objects.visible_to(request.user)
        waits = WorkflowWait.objects.filter(
            status=WaitStatus.OPEN, kind=WaitKind.EVENT, execution__in=visible
        ).select_related("execution")
        kept = WorkflowEvent.objects.filter(taken_by__isnull=True).order_by("-sent_at", "-id")
        if not sees_all(request.user):
            # An event belongs to no execution yet: it is its sender's alone.
            kept = kept.filter(by=label(request.user))
        return {
            "waits": [self._row(wait) for wait in waits.order_by("opened_at", "id")[:MOST_SHOWN]],
            "kept": [
                {"event": event, "sent": texts.moment(event.sent_at)} for event in kept[:MOST_SHOWN]
            ],
            "most": MOST_SHOWN,
        }

    def _row(self, wait: WorkflowWait) -> dict[str, Any]:
        name, _colon, key = (wait.key or "").partition(":")
        return {
            "wait": wait,
            "name": name,
            "key": key,
            "age": texts.age(wait.opened_at),
            "until": texts.moment(wait.wake_at),
            "url": reverse(f"admin:{EXECUTION}", args=[wait.execution_id]),
            "fill": f"?{urlencode({'name': name, 'key': key})}",
        }


def _sent(request: HttpRequest, form: EventForm) -> InboxEvent | None:
    """Send the event, or put what is wrong at its field."""
    given = form.cleaned_data
    data = None if given["body"] is Blank.LEFT_OUT else given["body"]
    try:
        return api.send_event(given["name"], given["key"], data, by=request.user)
    except PayloadError as error:
        place = error.path.partition(".")[0].partition("[")[0]
        field = "body" if place == "data" else place
        form.add_error(field if field in form.fields else None, error.reason)
    return None


def _taken(request: HttpRequest, sent: InboxEvent) -> SafeString:
    """Say which execution took the event, if one did and the user may view it."""
    row = WorkflowEvent.objects.filter(pk=sent.id).first()
    if row is None or row.taken_by is None:
        return format_html(
            _("Sent {}. Nothing waits for it yet: it is kept until then."), sent.topic
        )
    visible = WorkflowExecution.objects.visible_to(request.user)
    wait = WorkflowWait.objects.filter(pk=row.taken_by, execution__in=visible).first()
    if wait is None:
        return format_html(_("Sent {}. An execution went on with it."), sent.topic)
    url = reverse(f"admin:{EXECUTION}", args=[wait.execution_id])
    return format_html(
        _('Sent {}. <a href="{}">An execution</a> went on with it at {}.'),
        sent.topic,
        url,
        wait.step,
    )
