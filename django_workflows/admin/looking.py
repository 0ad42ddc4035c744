"""Find an execution for the user who asks, and the ways to it."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from django_workflows.admin.base import EXECUTION, Link, Page, pages
from django_workflows.exceptions import ExecutionNotFound
from django_workflows.models import WorkflowExecution


class RowPage(Page):
    """A page about one execution: to who may not view that, there is no such page."""

    def enter(self, request: HttpRequest) -> None:
        """Leave it to visible_execution()."""


def visible_execution(request: HttpRequest, execution_id: UUID | str) -> WorkflowExecution:
    """Return an execution. Raise ExecutionNotFound as well where the user may not view it."""
    rows = WorkflowExecution.objects.visible_to(request.user)
    try:
        return rows.get(pk=execution_id)
    except (WorkflowExecution.DoesNotExist, ValidationError) as error:
        raise ExecutionNotFound(str(execution_id)) from error


def link_to(execution: WorkflowExecution) -> Link:
    """Return the link to the page of an execution."""
    return Link(title=execution.workflow_id, url=reverse(f"admin:{EXECUTION}", args=[execution.pk]))


def back(request: HttpRequest, execution_id: UUID | str) -> HttpResponse:
    """
    Redirect to where a form came from: its ``next``, or the page of the execution.

    To the start of the admin where the user may not view that any more: who is only asked for
    decisions, once they are given.
    """
    wanted = request.POST.get("next", "")
    if wanted and url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        return HttpResponseRedirect(wanted)
    rows = WorkflowExecution.objects.visible_to(request.user)
    if rows.filter(pk=execution_id).exists():
        return HttpResponseRedirect(reverse(f"admin:{EXECUTION}", args=[execution_id]))
    return HttpResponseRedirect(_elsewhere())


def _elsewhere() -> str:
    inbox = [page for page in pages() if page.name == "inbox"]
    return inbox[0].url() if inbox else reverse("admin:index")
