"""What the list of executions can be narrowed by, by django-filter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_lazy as _
from django_filters import rest_framework as filters
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from django_workflows import reports
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.models import ExecutionQuerySet, WorkflowExecution, WorkflowWait


class MomentField(forms.CharField):
    """A time as RFC 3339 writes it, with its offset from UTC."""

    default_error_messages = {
        "invalid": _("Must be a time with its offset, such as 2026-01-31T12:00:00Z."),
    }

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text:
            return None
        try:
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is None:
                raise ValueError(text)
            return moment.astimezone(UTC)
        except (OverflowError, ValueError) as error:  # the year 1, east of Greenwich
            raise forms.ValidationError(self.error_messages["invalid"], "invalid") from error


class MomentFilter(filters.IsoDateTimeFilter):  # type: ignore[misc]  # has no types
    """As the field takes it; the base is what drf-spectacular knows as a time."""

    field_class = MomentField


def _choices(enum: Any) -> list[tuple[str, str]]:
    return [(str(member), str(member)) for member in enum]


class ExecutionFilter(filters.FilterSet):  # type: ignore[misc]  # as above
    """
    Each narrows the list, by an index; but ``version`` and ``step`` have none.

    These are compared row by row, among those that the index of another filter finds: alone, among
    all from the newest on, until a page is full.
    """

    workflow = filters.CharFilter("workflow_id", label=_("Id of the workflow."))
    version = filters.CharFilter("workflow_version", label=_("Version that it was started with."))
    status = filters.MultipleChoiceFilter(
        choices=_choices(ExecutionStatus), method="in_status", label=_("Any of these.")
    )
    step = filters.CharFilter("current_step", label=_("Step that it is at."))
    waiting_for = filters.ChoiceFilter(
        choices=_choices(WaitKind), method="waits_for", label=_("Kind of what it waits for.")
    )
    subject = filters.CharFilter(label=_("What it is about, as app.model:pk."))
    parent = filters.UUIDFilter("parent_id", label=_("Id of the execution that started it."))
    started_by = filters.CharFilter(label=_("Username of who started it."))
    created_after = MomentFilter("created_at", "gte", label=_("Not created before."))
    created_before = MomentFilter("created_at", "lt", label=_("Created before."))
    search = filters.CharFilter(
        method="identified_by", label=_("An id, idempotency key or subject, as a whole.")
    )

    class Meta:
        model = WorkflowExecution
        fields: list[str] = []

    def in_status(self, rows: ExecutionQuerySet, name: str, value: list[str]) -> Any:
        """Narrow to those that have one of several statuses."""
        return rows.filter(status__in=value)

    def waits_for(self, rows: ExecutionQuerySet, name: str, value: str) -> Any:
        """Narrow to those with an open wait of a kind."""
        waits = WorkflowWait.objects.filter(execution=OuterRef("pk"), kind=value)
        # Only what is halted can wait, and the status has an index.
        return rows.filter(Exists(waits.filter(status=WaitStatus.OPEN)), status="halted")

    def identified_by(self, rows: ExecutionQuerySet, name: str, value: str) -> Any:
        """Narrow to what is named by a text; see reports.search()."""
        return reports.search(rows, value)


class StrictFilters(filters.DjangoFilterBackend):  # type: ignore[misc]  # as above
    """Refuse a parameter that is none: by a slip of the pen, nothing would be filtered."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> Any:
        refuse_unknown(request, view, self.get_filterset_class(view, queryset))
        return super().filter_queryset(request, queryset, view)


def refuse_unknown(request: Request, view: Any, filterset: Any = None) -> None:
    """
    Raise ValidationError for each parameter that the list of ``view`` does not know.

    And for one without a value: what filters nothing was perhaps to filter something.
    """
    pages = view.paginator
    known = {*getattr(filterset, "base_filters", ()), view.settings.URL_FORMAT_OVERRIDE}
    known |= {pages.cursor_param, pages.size_param, view.settings.VERSION_PARAM}
    message, empty = _("There is no such parameter."), _("Has no value; leave it out, or give one.")
    given = request.query_params
    wrong = {name: [message] for name in given if name not in known}
    wrong |= {name: [empty] for name, values in given.lists() if name in known and "" in values}
    if wrong:
        raise ValidationError(wrong)
