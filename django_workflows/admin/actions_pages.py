"""Where the forms of the execution page are sent: each verb, and each answer to a wait."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_workflows import api
from django_workflows.admin import texts
from django_workflows.admin.actions_forms import VerbForm
from django_workflows.admin.actions_offers import VERBS, Offer, Verb, is_known, url_of
from django_workflows.admin.actions_waits import ShownWait, shown_wait
from django_workflows.admin.base import page
from django_workflows.admin.looking import RowPage, back, link_to, visible_execution
from django_workflows.core.execution import Execution
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.exceptions import (
    ExecutionNotFound,
    InputError,
    NotAllowed,
    PayloadError,
    ResponseError,
    UnknownWorkflow,
    WorkflowError,
)
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.permissions import authorize, authorize_answer
from django_workflows.permissions.approvers import asks


@page
class ActPage(RowPage):
    """One verb for one execution: its form, and what is done with it."""

    name = "act"
    path = "<uuid:execution_id>/act/<slug:verb>/"
    title = gettext_lazy("Action")
    template = "admin/django_workflows/execution_act.html"

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """Show the form by itself."""
        row, verb = self._found(request, kwargs)
        return self._context(row, verb, verb.form(row.to_core(), verb.name))

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Apply the verb; show the form again where something in it is wrong."""
        row, verb = self._found(request, kwargs)
        execution = row.to_core()
        form = verb.form(execution, verb.name, request.POST)
        if form.has_moved:
            return self._show_as_it_is(request, row)
        if not form.is_valid():
            return self.show(request, self._context(row, verb, form))
        try:
            changed = verb.apply(execution, form, request.user)
        except (InputError, PayloadError) as error:
            form.refuse(error)
            return self.show(request, self._context(row, verb, form))
        except NotAllowed:
            raise
        except WorkflowError as error:
            messages.error(request, texts.told(error))
            return back(request, row.pk)
        status = api.get(changed.id).status  # it may have gone on here and now
        messages.success(request, verb.done % {"status": _(status.value)})
        return back(request, changed.id)

    def _show_as_it_is(self, request: HttpRequest, row: WorkflowExecution) -> HttpResponse:
        moved = _("It has moved on meanwhile, and is %(status)s now. Nothing was changed.")
        messages.error(request, moved % {"status": _(row.status)})
        return back(request, row.pk)

    def _found(self, request: HttpRequest, kwargs: Any) -> tuple[WorkflowExecution, Verb]:
        row = visible_execution(request, kwargs["execution_id"])
        verb = VERBS.get(kwargs["verb"])
        if verb is None:
            raise Http404(f"No action is called {kwargs['verb']!r}.")
        authorize(request.user, verb.name, _record(row))
        if not is_known(verb, _record(row)):
            raise UnknownWorkflow(row.workflow_id, [])
        return row, verb

    def _context(self, row: WorkflowExecution, verb: Verb, form: VerbForm) -> dict[str, Any]:
        offer = Offer(verb=verb, form=form, url=url_of(verb, _record(row)))
        return {
            "title": verb.title,
            "parents": [link_to(row)],
            "execution": row,
            "offer": offer,
            "badge": texts.status_badge(row.status),
            "why": api.explain(row.pk),
        }


@page
class AnswerPage(RowPage):
    """The answer to one wait: a decision, a response, or an end to waiting."""

    name = "answer"
    path = "<uuid:execution_id>/answer/<uuid:wait_id>/"
    title = gettext_lazy("Answer")
    template = "admin/django_workflows/execution_answer.html"

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """Show the wait with its form."""
        row, wait = self._found(request, kwargs)
        return self._context(row, shown_wait(request, row.to_core(), wait))

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Give the answer; show the form again where something in it is wrong."""
        if late := _late(request, kwargs):
            return late
        row, wait = self._found(request, kwargs)
        execution = row.to_core()
        if wait.kind == WaitKind.CHILD:
            raise NotAllowed(_("What a child asks is answered on the page of the child."))
        authorize_answer(request.user, execution, wait.to_core())
        shown = shown_wait(request, execution, wait, request.POST)
        approved = _decision(wait, request.POST.get("decision", ""))
        if not shown.form.is_valid(approved=approved is not False):
            return self.show(request, self._context(row, shown))
        try:
            api.resume(
                row.pk,
                response=shown.form.response(approved=approved is not False),
                approved=approved,
                step=wait.pk,
                by=request.user,
            )
        except NotAllowed:
            raise
        except ResponseError as error:
            shown.form.refuse(error)
            return self.show(request, self._context(row, shown))
        except PayloadError as error:
            messages.error(request, str(error))
            return self.show(request, self._context(row, shown))
        except WorkflowError as error:
            messages.error(request, texts.told(error))
            return back(request, row.pk)
        messages.success(request, _answered(wait, approved=approved))
        return back(request, row.pk)

    def _found(
        self, request: HttpRequest, kwargs: dict[str, Any]
    ) -> tuple[WorkflowExecution, WorkflowWait]:
        row = visible_execution(request, kwargs["execution_id"])
        wait = row.waits.filter(pk=kwargs["wait_id"]).first()
        if wait is None:
            raise ExecutionNotFound(f"{row.pk}, wait {kwargs['wait_id']}")
        return row, wait

    def _context(self, row: WorkflowExecution, shown: ShownWait) -> dict[str, Any]:
        return {
            "title": shown.wait.prompt or shown.wait.step,
            "parents": [link_to(row)],
            "execution": row,
            "wait": shown,
        }


def _late(request: HttpRequest, kwargs: dict[str, Any]) -> HttpResponse | None:
    """Tell who was asked, and is not any more, that another was first; for others return None."""
    wait = WorkflowWait.objects.filter(execution=kwargs["execution_id"], pk=kwargs["wait_id"])
    closed = wait.exclude(status=WaitStatus.OPEN).first()
    if closed is None or not asks(request.user, closed.to_core()):
        return None
    try:
        api.resume(str(kwargs["execution_id"]), approved=True, step=closed.pk, by=request.user)
    except WorkflowError as error:
        messages.error(request, texts.told(error))
    return back(request, kwargs["execution_id"])


def _record(row: WorkflowExecution) -> Execution:
    return row.to_core()


def _decision(wait: WorkflowWait, decision: str) -> bool | None:
    """Return what an approval is answered with; None for what is no approval."""
    if wait.kind != WaitKind.APPROVAL:
        return None
    if decision not in {"approve", "reject"}:
        raise Http404(f"A decision is approve or reject, not {decision!r}.")
    return decision == "approve"


def _answered(wait: WorkflowWait, *, approved: bool | None) -> str:
    if approved is None:
        return _("Answered %(step)s.") % {"step": wait.step}
    told = _("Approved %(step)s.") if approved else _("Rejected %(step)s.")
    return told % {"step": wait.step}
