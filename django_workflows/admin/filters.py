"""The filters beside the list of executions. None reads the executions to know its choices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_workflows.core.execution import FINAL_STATUSES, ExecutionStatus
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.core.workflow import registry
from django_workflows.models import WorkflowExecution, WorkflowVersion, WorkflowWait
from django_workflows.permissions import may

if TYPE_CHECKING:
    Executions = QuerySet[WorkflowExecution]
    Choices = Sequence[tuple[str, Any]]

#: More choices than this are no help.
MOST_CHOICES = 200


class ChoiceFilter(admin.SimpleListFilter):
    """A filter by one of its lookups(); what is none of them finds nothing."""

    def queryset(self, request: HttpRequest, executions: Executions) -> Executions:
        """Narrow the list."""
        value = self.value()
        if value is None:
            return executions
        # No text of a database has a NUL, and PostgreSQL takes none to compare with.
        return executions.none() if "\0" in value else executions.filter(self.condition(value))

    def condition(self, value: str) -> Q:
        """Return what an execution has to be."""
        raise NotImplementedError


class StatusFilter(ChoiceFilter):
    """By status, and by the two halves of them."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the choices."""
        single = [(status.value, _(status.value)) for status in ExecutionStatus]
        return [("open", _("under way")), ("ended", _("ended")), *single]

    def condition(self, value: str) -> Q:
        """See ChoiceFilter."""
        # Named one by one: `not in` would read past the index.
        final = sorted(FINAL_STATUSES)
        live = sorted(set(ExecutionStatus) - FINAL_STATUSES)
        return Q(status__in={"open": live, "ended": final}.get(value, [value]))


class WorkflowFilter(ChoiceFilter):
    """By workflow: those that are registered, and those that ever ran."""

    title = _("workflow")
    parameter_name = "workflow"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the choices: what the user may view of it."""
        known = sorted({*registry, *(workflow for workflow, _version in versions(request))})
        seen = [name for name in known if may(request.user, "view", workflow_id=name)]
        return [(name, name) for name in seen[:MOST_CHOICES]]

    def condition(self, value: str) -> Q:
        """See ChoiceFilter."""
        return Q(workflow_id=value)


class VersionFilter(ChoiceFilter):
    """By version, once a workflow is chosen."""

    title = _("version")
    parameter_name = "version"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the choices."""
        chosen = request.GET.get(WorkflowFilter.parameter_name)
        if not may(request.user, "view", workflow_id=chosen):
            return []
        found = [version for workflow, version in versions(request) if workflow == chosen]
        return [(version, version or _("none")) for version in found[:MOST_CHOICES]]

    def has_output(self) -> bool:
        """Say whether it is shown: also where a link has chosen a version without the workflow."""
        return bool(self.lookup_choices) or self.value() is not None

    def condition(self, value: str) -> Q:
        """See ChoiceFilter."""
        return Q(workflow_version=value)


class StepFilter(ChoiceFilter):
    """By the workflow's own step where it stands, once a workflow is chosen."""

    title = _("step")
    parameter_name = "step"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the choices."""
        chosen = request.GET.get(WorkflowFilter.parameter_name, "")
        if chosen not in registry or not may(request.user, "view", workflow_id=chosen):
            return []
        return [(name, name) for name in list(registry[chosen].graph.steps)[:MOST_CHOICES]]

    def has_output(self) -> bool:
        """Say whether it is shown: also where a link has chosen a step without the workflow."""
        return bool(self.lookup_choices) or self.value() is not None

    def condition(self, value: str) -> Q:
        """See ChoiceFilter."""
        inner = [Q(current_step__startswith=value + mark) for mark in "/[#"]
        return Q(current_step=value) | inner[0] | inner[1] | inner[2]


class WaitFilter(ChoiceFilter):
    """By what it waits for."""

    title = _("waits for")
    parameter_name = "waits_for"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        """Return the choices."""
        return [(kind.value, label) for kind, label in _waits()]

    def condition(self, value: str) -> Q:
        """See ChoiceFilter."""
        waits = WorkflowWait.objects.filter(
            execution=OuterRef("pk"), status=WaitStatus.OPEN, kind=value
        )
        return Q(Exists(waits), status=ExecutionStatus.HALTED)


def _waits() -> Iterator[tuple[WaitKind, Any]]:
    yield WaitKind.APPROVAL, _("an approval")
    yield WaitKind.HALT, _("an answer")
    yield WaitKind.TIMER, _("a time")
    yield WaitKind.EVENT, _("an event")
    yield WaitKind.CHILD, _("children")
    yield WaitKind.RETRY, _("another attempt")


def versions(request: HttpRequest) -> list[tuple[str, str]]:
    """Return each workflow and version that ever ran, read once for a request."""
    known: list[tuple[str, str]] | None = getattr(request, "_workflow_versions", None)
    if known is None:
        rows = WorkflowVersion.objects.order_by("workflow_id", "version")
        known = list(rows.values_list("workflow_id", "version")[:1_000])
        request._workflow_versions = known  # type: ignore[attr-defined]  # noqa: SLF001
    return known
