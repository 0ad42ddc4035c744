"""WorkflowAdminMixin: what workflows do with an object, on the object's own page in the admin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from django_workflows import api, reports
from django_workflows.admin import columns, texts
from django_workflows.admin.base import EXECUTION, EXECUTIONS, guarded
from django_workflows.admin.inbox import InboxPage, asked
from django_workflows.admin.starting import StartPage, lead_to, new_ticket, ticketed
from django_workflows.core import codec
from django_workflows.core.workflow import registry
from django_workflows.exceptions import InputError
from django_workflows.models import WorkflowExecution, subject_key
from django_workflows.permissions import authorize, may

if TYPE_CHECKING:
    from django.contrib import admin
    from django.db import models

    ObjectAdmin = admin.ModelAdmin[models.Model]
else:
    ObjectAdmin = object

#: So many executions, and so many approvals, are shown of one object.
MOST_SHOWN = 5

#: Makes the input of a workflow from an object.
ToInput = Callable[[Any], Mapping[str, Any]]


class WorkflowAdminMixin(ObjectAdmin):
    """
    Show an object's executions, its open approvals, and buttons that start workflows.

    In an app's ``admin.py``::

        @admin.register(Order)
        class OrderAdmin(WorkflowAdminMixin, admin.ModelAdmin):
            workflow_start = {"order_fulfilment": lambda order: {"order_id": order.pk}}

    ``workflow_start`` maps workflow ids to what makes their input from the object. Its button
    starts the workflow with the object as subject; where more input is needed, it opens the start
    form, filled in so far. With None in place of a function it always opens the form.

    Executions are an object's whose ``subject=`` it is. Each person sees the executions that they
    may view, the approvals that ask them, and the buttons of what they may start.

    Its page is ``admin/django_workflows/subject_change_form.html``. A ``change_form_template`` of
    your own extends that, or includes ``admin/django_workflows/subject_panel.html`` outside of the
    form, for forms do not nest.
    """

    change_form_template = "admin/django_workflows/subject_change_form.html"

    workflow_start: ClassVar[Mapping[str, ToInput | None]] = {}

    def get_urls(self) -> list[URLPattern]:
        """Add the address that the start buttons post to."""
        opts = self.model._meta
        view = self.admin_site.admin_view(require_POST(self._start_workflow))
        name = f"{opts.app_label}_{opts.model_name}_start_workflow"
        own = path("<path:object_id>/start-workflow/<path:workflow_id>/", view, name=name)
        return [own, *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Add the panel to the page of an object that is saved."""
        obj = context.get("original")
        if obj is not None:
            context["workflow_panel"] = self.workflow_panel(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)

    def workflow_panel(self, request: HttpRequest, obj: models.Model) -> dict[str, Any]:
        """Return what the panel shows of an object."""
        user, subject = request.user, subject_key(obj)
        visible = WorkflowExecution.objects.visible_to(user).filter(subject=subject)
        rows = list(visible.defer(*columns.HEAVY)[: MOST_SHOWN + 1])
        shown = rows[:MOST_SHOWN]
        columns.add_whys(shown)
        waits = reports.inbox(user).filter(execution__subject=subject)[:MOST_SHOWN]
        return {
            "executions": [
                {
                    "row": row,
                    "url": reverse(f"admin:{EXECUTION}", args=[row.pk]),
                    "badge": texts.status_badge(row.status),
                    "age": texts.age(row.created_at),
                }
                for row in shown
            ],
            "list_url": f"{reverse(f'admin:{EXECUTIONS}')}?{urlencode({'q': subject})}",
            "is_more": len(rows) > MOST_SHOWN,
            "asked": [asked(wait, str(obj)) for wait in waits],
            "inbox_url": InboxPage.url(),
            "next": request.path,
            "starts": self._starts(request, obj),
        }

    def _starts(self, request: HttpRequest, obj: models.Model) -> list[dict[str, Any]]:
        opts = self.model._meta
        name = f"admin:{opts.app_label}_{opts.model_name}_start_workflow"
        found = []
        for workflow_id, to_input in self.workflow_start.items():
            if workflow_id not in registry or not may(
                request.user, "start", workflow_id=workflow_id
            ):
                continue
            url = reverse(name, args=[obj.pk, workflow_id], current_app=self.admin_site.name)
            title = registry[workflow_id].name
            form_url = None if to_input else _form_url(workflow_id, obj, {})
            ticket = new_ticket(request.user, workflow_id)
            found.append({"title": title, "url": url, "form_url": form_url, "ticket": ticket})
        return found

    def _start_workflow(
        self, request: HttpRequest, object_id: str, workflow_id: str
    ) -> HttpResponse:
        return guarded(
            request, self.admin_site, lambda: self._started(request, object_id, workflow_id)
        )

    def _started(self, request: HttpRequest, object_id: str, workflow_id: str) -> HttpResponse:
        obj = self.get_object(request, unquote(object_id))
        to_input = self.workflow_start.get(workflow_id)
        if obj is None or to_input is None:
            raise Http404(_("There is no such object, or nothing to start for it."))
        if not self.has_view_permission(request, obj):
            raise PermissionDenied
        authorize(request.user, "start", workflow_id=workflow_id)
        given = to_input(obj)
        id_ = ticketed(request.POST.get("ticket", ""), request.user, workflow_id)
        try:
            execution = api.start(
                workflow_id, given, execution_id=id_, subject=obj, by=request.user
            )
        except InputError as error:
            messages.warning(request, str(error))
            return HttpResponseRedirect(_form_url(workflow_id, obj, given))
        return lead_to(request, execution)


def _form_url(workflow_id: str, obj: models.Model, given: Mapping[str, Any]) -> str:
    """Return the address of the start form, filled in with what is known."""
    query = {"subject": subject_key(obj)}
    if given:
        query["input"] = codec.dumps(dict(given))
    return f"{StartPage.url(workflow_id=workflow_id)}?{urlencode(query)}"
