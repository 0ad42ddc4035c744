"""The waits of an execution, each with the form by which it can be answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django import forms
from django.db.models import Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_workflows.admin import texts
from django_workflows.admin.actions_forms import JSONText
from django_workflows.admin.base import EXECUTION
from django_workflows.admin.forms import answer_form
from django_workflows.admin.readable import readable
from django_workflows.core.execution import EntryAction, Execution
from django_workflows.core.forking import requesters
from django_workflows.core.schemas import RESPONSE_SCHEMA, response_schema
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.core.workflow import registry
from django_workflows.exceptions import NotAllowed, ResponseError
from django_workflows.models import WorkflowEntry, WorkflowExecution, WorkflowWait
from django_workflows.permissions import authorize, authorize_answer, label, refuse_decision

_KINDS = {
    WaitKind.APPROVAL: gettext_lazy("an approval"),
    WaitKind.HALT: gettext_lazy("an answer"),
    WaitKind.TIMER: gettext_lazy("a time"),
    WaitKind.EVENT: gettext_lazy("an event"),
    WaitKind.CHILD: gettext_lazy("a child"),
    WaitKind.RETRY: gettext_lazy("another attempt"),
}
_BUTTONS = {
    WaitKind.HALT: gettext_lazy("Answer"),
    WaitKind.TIMER: gettext_lazy("End the sleep now"),
    WaitKind.EVENT: gettext_lazy("Go on with this instead of the event"),
    WaitKind.RETRY: gettext_lazy("Attempt it now"),
}
_STATES = {
    WaitStatus.OPEN: gettext_lazy("open"),
    WaitStatus.SETTLED: gettext_lazy("answered"),
    WaitStatus.TAKEN: gettext_lazy("answered"),
    WaitStatus.WITHDRAWN: gettext_lazy("withdrawn"),
}


class Answering(Protocol):
    """What is asked for an answer; forms.AnswerForm is one."""

    @property
    def fields(self) -> list[forms.BoundField]:
        """The fields to show."""

    @property
    def errors(self) -> list[str]:
        """What is wrong with the answer as a whole."""

    def is_valid(self, *, approved: bool) -> bool:
        """Say whether the answer can be given."""

    def response(self, *, approved: bool) -> Any:
        """Return what to give to api.resume()."""

    def refuse(self, error: ResponseError) -> None:
        """Show at the fields what api.resume() says of the answer."""


class ResponseForm(forms.Form):
    """Any value, as JSON."""

    response_field = JSONText(
        label=gettext_lazy("Answer, as JSON"),
        required=False,
        help_text=gettext_lazy("What the step returns: a text is written in quotes."),
    )


class AnyAnswer:
    """The form of a wait that gives no schema for its answer, or that takes none."""

    def __init__(self, wait: WorkflowWait, data: Mapping[str, Any] | None) -> None:
        self.form = ResponseForm(data, prefix=f"wait-{wait.pk}")
        if wait.kind in {WaitKind.TIMER, WaitKind.RETRY}:
            del self.form.fields["response_field"]

    @property
    def fields(self) -> list[forms.BoundField]:
        """See Answering."""
        return list(self.form)

    @property
    def errors(self) -> list[str]:
        """See Answering."""
        return [str(one) for one in self.form.non_field_errors()]

    def is_valid(self, *, approved: bool) -> bool:
        """See Answering."""
        return self.form.is_valid()

    def response(self, *, approved: bool) -> Any:
        """See Answering."""
        return self.form.cleaned_data.get("response_field")

    def refuse(self, error: ResponseError) -> None:
        """See Answering."""
        self.form.add_error(None, str(error))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownWait:
    """One wait, ready to be shown."""

    wait: WorkflowWait
    kind: Any
    state: Any
    since: Any
    until: Any
    data: Any
    answers: Sequence[tuple[Any, Any]]  # each with its moment
    form: Answering
    is_offered: bool  # the user may answer it
    refusal: str  # why not
    button: Any
    url: str
    child_url: str

    @property
    def is_approval(self) -> bool:
        """Say whether it is decided rather than answered."""
        return bool(self.wait.kind == WaitKind.APPROVAL)

    @property
    def is_open(self) -> bool:
        """Say whether it can be answered still."""
        return bool(self.wait.status == WaitStatus.OPEN)


def shown_waits(
    request: HttpRequest, execution: Execution, waits: Iterable[WorkflowWait]
) -> list[ShownWait]:
    """Return all waits, the open ones first, then the newest."""
    newest_first = sorted(waits, key=lambda wait: (wait.opened_at, wait.pk), reverse=True)
    newest_first.sort(key=lambda wait: wait.status != WaitStatus.OPEN)
    return [shown_wait(request, execution, wait) for wait in newest_first]


def shown_wait(
    request: HttpRequest,
    execution: Execution,
    wait: WorkflowWait,
    data: Mapping[str, Any] | None = None,
) -> ShownWait:
    """Return one wait with its form, filled with ``data`` where it is given."""
    is_open = wait.status == WaitStatus.OPEN
    refusal = _refusal(request, execution, wait.to_core()) if is_open else ""
    has_form = wait.kind == WaitKind.APPROVAL or response_schema(wait.data) is not None
    child = wait.key if wait.kind == WaitKind.CHILD else None
    return ShownWait(
        wait=wait,
        kind=_("children") if wait.kind == WaitKind.CHILD and child is None else _KINDS[wait.kind],
        state=_STATES[wait.status],
        since=texts.moment(wait.opened_at),
        until=texts.moment(wait.wake_at) if wait.wake_at and is_open else "",
        data=_data(wait),
        answers=[(answer, texts.moment(answer.at)) for answer in wait.answers],
        form=answer_form(wait, data) if has_form else AnyAnswer(wait, data),
        is_offered=is_open and not refusal and child is None and wait.kind != WaitKind.CHILD,
        refusal=refusal,
        button=_BUTTONS.get(wait.kind, ""),
        url=reverse("admin:django_workflows_answer", args=[execution.id, wait.pk]),
        child_url=_child_url(request, child) if child else "",
    )


def _data(wait: WorkflowWait) -> Any:
    """Return what a wait that asks somebody says beside its prompt; the rest is the engine's."""
    if wait.kind not in {WaitKind.APPROVAL, WaitKind.HALT}:
        return ""
    told = {"prompt", "reason", "approvers", "required", "context", RESPONSE_SCHEMA}
    rest = {key: value for key, value in wait.data.items() if key not in told}
    context = wait.data.get("context")
    if isinstance(context, Mapping):
        rest |= context
    elif context is not None:
        rest["context"] = context
    return readable(rest) if rest else ""


def _refusal(request: HttpRequest, execution: Execution, wait: Wait) -> str:
    """Return why the user may not answer an open wait; empty where that is possible."""
    if wait.kind == WaitKind.CHILD:
        return ""
    if execution.workflow_id not in registry:
        return _("Its workflow is not registered here, so nothing can be answered.")
    user = request.user
    try:
        if wait.kind != WaitKind.APPROVAL:
            authorize(user, "resume", execution)
            return ""
        asked = _requesters(execution) if wait.exclude_requester else ()
        refuse_decision(user, execution, wait, asked)  # names whom it asks
        authorize_answer(user, execution, wait)
    except NotAllowed as error:
        return str(error)
    if any(answer.by == label(user) for answer in wait.answers):
        given = sum(1 for answer in wait.answers if answer.approved)
        told = _("You have approved it: %(given)d of %(required)d approvals are given.")
        return told % {"given": given, "required": wait.required}
    return ""


def _requesters(execution: Execution) -> set[str]:
    # Of what the engine attempts again by itself, which may be much, nobody is the author.
    telling = Q(action=EntryAction.FORKED) | Q(action=EntryAction.RETRIED, by__isnull=False)
    rows = WorkflowEntry.objects.filter(telling, execution__pk=execution.id)
    return requesters(execution, [row.to_core() for row in rows])


def _child_url(request: HttpRequest, child: str) -> str:
    is_seen = WorkflowExecution.objects.visible_to(request.user).filter(pk=child).exists()
    return reverse(f"admin:{EXECUTION}", args=[child]) if is_seen else ""
