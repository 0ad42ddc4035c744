"""The form that starts a workflow, made from its ``Input``."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth import get_permission_codename
from django.core import signing
from django.core.exceptions import ObjectDoesNotExist, ValidationError
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_workflows import api
from django_workflows.admin.base import EXECUTION, Link, Page, page, page_context
from django_workflows.admin.forms import WHOLE, SchemaForm, form_for_schema
from django_workflows.core import codec
from django_workflows.core.execution import Execution
from django_workflows.core.ids import new_id
from django_workflows.core.workflow import registry
from django_workflows.exceptions import InputError, PayloadError
from django_workflows.models import WorkflowExecution, subject_key
from django_workflows.permissions import authorize

#: The input's fields have it before their names, so that one may be called ``queue``.
INPUT = "input"

_SALT = "django_workflows.admin.starting"


class OptionsForm(forms.Form):
    """What else start() takes; most leave it alone."""

    subject = forms.CharField(
        label=gettext_lazy("About"),
        required=False,
        max_length=255,
        help_text=gettext_lazy("The object that it is about, as app.model:pk."),
    )
    idempotency_key = forms.CharField(
        label=gettext_lazy("Idempotency key"),
        required=False,
        max_length=200,
        help_text=gettext_lazy("Given a second time, it leads to the first execution."),
    )
    delay = forms.DurationField(
        label=gettext_lazy("Delay"),
        required=False,
        help_text=gettext_lazy("How long to wait first: seconds, or days hours:minutes:seconds."),
    )
    queue = forms.CharField(label=gettext_lazy("Queue"), required=False, max_length=200)
    priority = forms.IntegerField(
        label=gettext_lazy("Priority"),
        required=False,
        min_value=-api.MOST_PRIORITY,
        max_value=api.MOST_PRIORITY,
        help_text=gettext_lazy("Higher goes first; 0 unless given."),
    )

    def __init__(self, request: HttpRequest, site: AdminSite, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.request = request
        self.site = site

    def clean_subject(self) -> str | None:
        """Return the label of an object that is there, and that the user may view."""
        text: str = self.cleaned_data["subject"]
        return subject_of(text, self.request, self.site) if text else None


def subject_of(text: str, request: HttpRequest, site: AdminSite) -> str:
    """
    Return the label of the object that ``text`` names.

    Raise ValidationError where there is none, in the same words where the user may not view it.
    """
    label, _colon, key = text.partition(":")
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError) as error:
        known = _("There is no model %(label)s; write app.model:pk.") % {"label": repr(label)}
        raise ValidationError(known) from error
    found = _viewed(model, key, request, site)
    if found is None:
        missing = _("There is no %(model)s with the key %(key)s that you may view.")
        raise ValidationError(missing % {"model": model._meta.verbose_name, "key": repr(key)})
    return subject_key(found)


def _viewed(
    model: type[models.Model], key: str, request: HttpRequest, site: AdminSite
) -> models.Model | None:
    """Return an instance where the user may view it: as its ModelAdmin says, if it has one."""
    admin = site._registry.get(model)  # noqa: SLF001  as Django's own apps do
    # Before it is looked for: how long that takes would tell whether it is there.
    if not (admin.has_view_permission(request) if admin else _may_view(request.user, model)):
        return None
    rows = admin.get_queryset(request) if admin else model._base_manager.all()  # noqa: SLF001  documented
    try:
        found = rows.get(pk=key)
    except (ValidationError, ValueError, OverflowError, ObjectDoesNotExist):
        return None
    return found if admin is None or admin.has_view_permission(request, found) else None


def _may_view(user: Any, model: type[models.Model]) -> bool:
    # Who may change something may view it, as in the admin.
    names = (get_permission_codename(action, model._meta) for action in ("view", "change"))
    return any(user.has_perm(f"{model._meta.app_label}.{name}") for name in names)


@page
class StartPage(Page):
    """
    See above.

    An address may fill the form in: ``?subject=app.model:pk``, the other options and the inputs by
    their names; inputs as typed JSON, too: ``?input={"order_id": 7}``.
    """

    name = "start"
    path = "start/<path:workflow_id>/"
    title = gettext_lazy("Start")
    template = "admin/django_workflows/start.html"

    def get(self, request: HttpRequest, workflow_id: str = "", **kwargs: Any) -> dict[str, Any]:
        """Raise NotAllowed, UnknownWorkflow."""
        authorize(request.user, "start", workflow_id=workflow_id)
        form = input_form(workflow_id, initial=_given(request))
        options = OptionsForm(request, self.admin_site, initial=request.GET.dict())
        opens_options = any(name in options.fields for name in request.GET)
        ticket = new_ticket(request.user, workflow_id)
        return {
            **self._context(workflow_id),
            "form": form,
            "options": options,
            "opens_options": opens_options,
            "ticket": ticket,
        }

    def post(self, request: HttpRequest, workflow_id: str = "", **kwargs: Any) -> HttpResponse:
        """Start one, and show it. Raise NotAllowed, UnknownWorkflow."""
        authorize(request.user, "start", workflow_id=workflow_id)
        form = input_form(workflow_id, request.POST)
        options = OptionsForm(request, self.admin_site, request.POST)
        ticket = request.POST.get("ticket", "")
        if form.is_valid() and options.is_valid():
            id_ = ticketed(ticket, request.user, workflow_id)
            started = _started(request, workflow_id, form, options, id_)
            if started is not None:
                return lead_to(request, started, is_new=started.id == id_)
        context = {
            **page_context(request, self.admin_site, current=self.name),
            **self._context(workflow_id),
            "page": self,
            "form": form,
            "options": options,
            "ticket": ticket,
            "opens_options": bool(options.errors),
        }
        return TemplateResponse(request, self.template, context)

    def _context(self, workflow_id: str) -> dict[str, Any]:
        definition = registry.whole(workflow_id)
        listed = reverse("admin:django_workflows_workflows")
        own = reverse("admin:django_workflows_workflow", kwargs={"workflow_id": workflow_id})
        return {
            "title": _("Start %(workflow)s") % {"workflow": definition.name},
            "definition": definition,
            "summary": definition.description.partition("\n")[0],
            "parents": [
                Link(title=_("Workflows"), url=listed),
                Link(title=workflow_id, url=own),
            ],
        }


def input_form(
    workflow_id: str,
    data: Mapping[str, Any] | None = None,
    initial: dict[str, Any] | None = None,
) -> SchemaForm:
    """Return the form for the input of a workflow. Raise UnknownWorkflow."""
    form = form_for_schema(registry.whole(workflow_id).input.schema(), label=_("Input"))
    return form(data, initial=initial, prefix=INPUT)


def _given(request: HttpRequest) -> dict[str, Any]:
    """Return what the address says of the inputs; what cannot be read is nothing."""
    given: dict[str, Any] = request.GET.dict()
    with suppress(PayloadError):
        typed = codec.loads(given.pop(INPUT, "{}"))
        given |= typed if isinstance(typed, dict) else {WHOLE: typed}
    return given


def new_ticket(user: Any, workflow_id: str) -> str:
    """
    Return the id of the execution that a form is to start, for a hidden field.

    Pressed twice, the form starts one. Signed, for else it could name an execution of others.
    """
    return signing.dumps([new_id(), str(user.pk), workflow_id], salt=_SALT)


def ticketed(ticket: str, user: Any, workflow_id: str) -> str:
    """Return the id that the form was given; a new one where it was given none, or to another."""
    try:
        id_, owner, wanted = signing.loads(ticket, salt=_SALT)
    except signing.BadSignature:
        return new_id()
    return id_ if [owner, wanted] == [str(user.pk), workflow_id] else new_id()


def _started(
    request: HttpRequest, workflow_id: str, form: SchemaForm, options: OptionsForm, id_: str
) -> Execution | None:
    """Start it, or put what is wrong at its field."""
    chosen = options.cleaned_data
    try:
        return api.start(
            workflow_id,
            form.value() or {},
            execution_id=id_,
            idempotency_key=chosen["idempotency_key"] or None,
            subject=chosen["subject"],
            by=request.user,
            queue=chosen["queue"] or None,
            priority=chosen["priority"],
            delay=chosen["delay"],
        )
    except InputError as error:
        form.refuse(error)
    except PayloadError as error:
        options.add_error(error.path if error.path in options.fields else None, error.reason)
    return None


def lead_to(request: HttpRequest, execution: Execution, *, is_new: bool = True) -> HttpResponse:
    """Redirect to an execution, and say whether it was started now."""
    url = reverse(f"admin:{EXECUTION}", args=[execution.id])
    if is_new:
        messages.success(request, format_html(_("Started {}."), execution.workflow_id))
        return HttpResponseRedirect(url)
    if WorkflowExecution.objects.visible_to(request.user).filter(pk=execution.id).exists():
        messages.info(request, _("This had been started before: here it is."))
        return HttpResponseRedirect(url)
    messages.info(request, _("This had been started before, by somebody else."))
    return HttpResponseRedirect(reverse("admin:django_workflows_workflows"))
