"""The verbs that a page offers for an execution, and how each is applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from django_workflows import api
from django_workflows.admin.actions_forms import (
    CancelForm,
    ForkForm,
    RetryForm,
    SkipForm,
    VerbForm,
)
from django_workflows.core.execution import FINAL_STATUSES, Execution, ExecutionStatus
from django_workflows.core.workflow import registry
from django_workflows.permissions import may

_FAILED = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED})
_STUCK = frozenset({ExecutionStatus.FAILED, ExecutionStatus.HALTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """
    Something that a person can do to an execution; its name is that of the permission.

    ``statuses`` are those in which it is offered: what is possible the public function says.
    """

    name: str
    title: Any
    help: Any
    done: Any
    form: type[VerbForm]
    statuses: frozenset[ExecutionStatus]
    apply: Callable[[Execution, Any, Any], Execution]
    takes_definition: bool = True
    is_final: bool = False  # it cannot be undone


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A verb with its form, for one execution."""

    verb: Verb
    form: VerbForm
    url: str


def _retry(execution: Execution, form: Any, user: Any) -> Execution:
    said = form.cleaned_data
    return api.retry(
        execution.id,
        from_step=said["from_step"] or None,
        input=form.given_input(),
        by=user,
        reason=said["reason"],
        expected_revision=form.expected_revision,
    )


def _skip(execution: Execution, form: Any, user: Any) -> Execution:
    said = form.cleaned_data
    return api.skip(
        execution.id,
        output=said["output"],
        reason=said["reason"],
        by=user,
        expected_revision=form.expected_revision,
    )


def _cancel(execution: Execution, form: Any, user: Any) -> Execution:
    said = form.cleaned_data
    return api.cancel(
        execution.id,
        said["reason"],
        by=user,
        compensate=said["compensate"],
        expected_revision=form.expected_revision,
    )


def _fork(execution: Execution, form: Any, user: Any) -> Execution:
    said = form.cleaned_data
    return api.fork(
        execution.id,
        said["from_step"],
        by=user,
        reason=said["reason"],
        expected_revision=form.expected_revision,
    )


VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb(
            name="retry",
            title=_("Retry"),
            help=_("Drive it again, from where it ended or from an earlier step."),
            done=_("Retried: it is %(status)s now."),
            form=RetryForm,
            statuses=_FAILED,
            apply=_retry,
        ),
        Verb(
            name="skip",
            title=_("Skip this step"),
            help=_("Take the step where it stands as done, and go on after it."),
            done=_("Skipped: it is %(status)s now."),
            form=SkipForm,
            statuses=_STUCK,
            apply=_skip,
            is_final=True,
        ),
        Verb(
            name="fork",
            title=_("Fork"),
            help=_("Start a new execution at a step that this one came to, with the same input."),
            done=_("Forked: this is the new execution, and it is %(status)s."),
            form=ForkForm,
            statuses=frozenset(ExecutionStatus),
            apply=_fork,
        ),
        Verb(
            name="cancel",
            title=_("Cancel"),
            help=_("End it, and its children, where it is."),
            done=_("Cancelled: it is %(status)s now."),
            form=CancelForm,
            statuses=frozenset(ExecutionStatus) - FINAL_STATUSES,
            apply=_cancel,
            takes_definition=False,
            is_final=True,
        ),
    )
}


def offers(request: HttpRequest, execution: Execution) -> list[Offer]:
    """Return what the user may do to an execution as it stands."""
    return [
        Offer(verb=verb, form=verb.form(execution, verb.name), url=url_of(verb, execution))
        for verb in VERBS.values()
        if execution.status in verb.statuses
        and is_known(verb, execution)
        and may(request.user, verb.name, execution)
    ]


def is_known(verb: Verb, execution: Execution) -> bool:
    """Say whether there is a workflow, where the verb takes one."""
    return not verb.takes_definition or execution.workflow_id in registry


def url_of(verb: Verb, execution: Execution) -> str:
    """Return where the form of a verb is sent."""
    return reverse("admin:django_workflows_act", args=[execution.id, verb.name])
