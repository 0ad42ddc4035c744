"""The inbox: which decisions wait for the user, the oldest first, each with its form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_workflows import api, reports
from django_workflows.admin import texts
from django_workflows.admin.base import (
    EXECUTION,
    INBOX_CAP,
    Page,
    inbox_count,
    page,
    page_context,
)
from django_workflows.admin.forms import AnswerForm, answer_form
from django_workflows.admin.readable import readable
from django_workflows.core import clock
from django_workflows.core.ids import canonical
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import NotAllowed, ResponseError, WorkflowError
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.permissions import authorize_answer

#: So many are shown on one page.
PAGE_SIZE = 20

_APPROVALS = {"approve": True, "reject": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One approval as it is shown, with its form."""

    wait: WorkflowWait
    form: AnswerForm
    url: str  # of its execution
    subject: SafeString | str
    age: SafeString
    deadline: SafeString | str
    is_late: bool
    given: int  # approvals so far
    context: SafeString | None


@page
class InboxPage(Page):
    """See above. Deciding leads back to it, and says what happened."""

    name = "inbox"
    path = "inbox/"
    title = gettext_lazy("Inbox")
    template = "admin/django_workflows/inbox.html"
    nav = 30

    def enter(self, request: HttpRequest) -> None:
        """Let in every member of the staff: an inbox may be empty, as after the last decision."""

    def count(self, request: HttpRequest) -> str:
        """See Page.count()."""
        return inbox_count(request)

    def get(
        self, request: HttpRequest, bound: AnswerForm | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Show the oldest, or those after ``?after=``; ``bound`` is a form with errors."""
        all_of_them = reports.inbox(request.user)
        is_first = "after" not in request.GET
        waits = list(_after(all_of_them, request)[: PAGE_SIZE + 1])
        shown, more = waits[:PAGE_SIZE], waits[PAGE_SIZE:]
        is_whole = is_first and not more
        subjects = {wait.execution.subject for wait in shown}
        links = texts.subject_links(request, self.admin_site, subjects)
        return {
            "asked": [asked(wait, links[wait.execution.subject], bound) for wait in shown],
            "count": reports.Count(len(shown))
            if is_whole
            else reports.count_of(all_of_them, INBOX_CAP),
            "is_first": is_first,
            "next": shown[-1].pk if more else None,
            "here": request.POST.get("next") or request.get_full_path(),
        }

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Decide one. Raise NotAllowed."""
        approved = _APPROVALS.get(request.POST.get("decision", ""))
        wait = _wait_of(request)
        if wait is None or approved is None:
            messages.error(request, _("This approval is not open for you any more."))
            return self._back(request)
        if wait.status == WaitStatus.OPEN:  # else it is told who was quicker
            authorize_answer(request.user, wait.execution.to_core(), wait.to_core())
        form = answer_form(wait, request.POST)
        if not form.is_valid(approved=approved):
            return self._again(request, form)
        try:
            api.resume(
                wait.execution_id,
                approved=approved,
                response=form.response(approved=approved),
                step=wait.pk,
                by=request.user,
            )
        except NotAllowed:
            raise
        except ResponseError as error:
            form.refuse(error)
            return self._again(request, form)
        except WorkflowError as error:
            about = {"prompt": wait.prompt or wait.step, "error": texts.told(error)}
            messages.error(request, _("%(prompt)s: %(error)s") % about)
        else:
            messages.success(request, _told(request, wait, approved=approved))
        return self._back(request)

    def _again(self, request: HttpRequest, form: AnswerForm) -> HttpResponse:
        """Show the page with what is wrong with one answer."""
        around = page_context(request, self.admin_site, current=self.name)
        context = {**around, "title": self.title, "page": self, **self.get(request, bound=form)}
        return TemplateResponse(request, self.template, context)

    def _back(self, request: HttpRequest) -> HttpResponse:
        wanted = request.POST.get("next", "")
        if wanted and url_has_allowed_host_and_scheme(
            wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
        ):
            return HttpResponseRedirect(wanted)
        return HttpResponseRedirect(self.url())


def asked(wait: WorkflowWait, subject: SafeString | str, bound: AnswerForm | None = None) -> Asked:
    """Return an approval as it is shown; ``bound`` takes the place of its own form."""
    context = wait.data.get("context")
    form = bound if bound is not None and bound.wait_id == wait.pk else answer_form(wait)
    return Asked(
        wait=wait,
        form=form,
        url=reverse(f"admin:{EXECUTION}", args=[wait.execution_id]),
        subject=subject,
        age=texts.age(wait.opened_at),
        deadline=texts.moment(wait.wake_at),
        is_late=wait.wake_at is not None and wait.wake_at < clock.now(),
        given=sum(1 for answer in wait.answers if answer.approved),
        context=None if context is None else readable(context),
    )


def _after(waits: QuerySet[WorkflowWait], request: HttpRequest) -> QuerySet[WorkflowWait]:
    """Narrow to what comes after the wait that ``?after=`` names, whatever became of it."""
    id_ = canonical(request.GET.get("after", ""))
    last = WorkflowWait.objects.filter(pk=id_).first() if id_ else None
    if last is None:
        return waits
    return waits.filter(
        Q(opened_at__gt=last.opened_at) | Q(opened_at=last.opened_at, pk__gt=last.pk)
    )


def _wait_of(request: HttpRequest) -> WorkflowWait | None:
    """Return the wait that a form names, if its execution is one that the user may view."""
    id_ = canonical(request.POST.get("wait", ""))
    visible = WorkflowExecution.objects.visible_to(request.user)
    named = WorkflowWait.objects.select_related("execution").filter(execution__in=visible)
    return named.filter(pk=id_).first() if id_ else None


def _told(request: HttpRequest, wait: WorkflowWait, *, approved: bool) -> SafeString:
    """Say what was decided, and what has become of the execution, where the user may view it."""
    did = _("Approved") if approved else _("Rejected")
    said = format_html("{}: {}", did, wait.prompt or wait.step)
    if not WorkflowExecution.objects.visible_to(request.user).filter(pk=wait.execution_id).exists():
        return said
    url = reverse(f"admin:{EXECUTION}", args=[wait.execution_id])
    now = api.explain(wait.execution_id)
    return format_html('{} <a href="{}">{}</a>', said, url, _("It is now: %s") % now)
