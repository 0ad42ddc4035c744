"""The list of executions, and the way to the page of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.db import DataError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_workflows import reports
from django_workflows.admin import columns, filters, texts
from django_workflows.admin.base import (
    EXECUTION,
    guarded,
    is_stranger,
    page_context,
    pages,
    refuse_stranger,
)
from django_workflows.admin.bulk import BulkActions
from django_workflows.admin.looking import visible_execution
from django_workflows.admin.page import ExecutionPage
from django_workflows.core.ids import canonical
from django_workflows.models import ExecutionQuerySet, WorkflowExecution

if TYPE_CHECKING:
    ExecutionPages = admin.ModelAdmin[WorkflowExecution]
else:  # generic for the type checker only
    ExecutionPages = admin.ModelAdmin


def _lookups_of(list_filter: Iterable[Any]) -> Iterator[str]:
    """Generate the parameters that filters of a list have in its address."""
    for one in list_filter:
        if isinstance(one, tuple):  # a field, by date
            yield from (f"{one[0]}__{lookup}" for lookup in ("gte", "lt", "isnull"))
        else:
            yield one.parameter_name


class ReadOnly:
    """Rows are written by the engine alone, so nobody adds, changes or deletes them by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """See ReadOnly."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """See ReadOnly."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """See ReadOnly."""
        return False


class ExecutionAdmin(BulkActions, ReadOnly, ExecutionPages):
    """Executions, newest first, for whoever may view them or is asked for a decision."""

    list_display = (
        "shown_status",
        "shown_execution",
        "shown_subject",
        "age",
        "duration",
    )
    list_display_links = None
    list_filter = (
        filters.StatusFilter,
        filters.WorkflowFilter,
        filters.VersionFilter,
        filters.StepFilter,
        filters.WaitFilter,
        ("created_at", admin.DateFieldListFilter),
    )
    # Shows the box; what it finds is up to get_search_results().
    search_fields = ("id",)
    search_help_text = _("The whole id, idempotency key or subject (app.model:pk) of an execution.")
    sortable_by = ("age",)
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = reports.CappedPaginator
    list_per_page = 50
    list_max_show_all = 0
    change_list_template = "admin/django_workflows/executions.html"

    #: What a list may be narrowed by beside its filters: the page of an execution leads so to its
    #: children. Without this, any column: one has text to be read through for each row.
    lookups = frozenset({"parent__id__exact"})

    # Who ----------------------------------------------------------------------------------------

    def has_view_permission(
        self, request: HttpRequest, obj: WorkflowExecution | None = None
    ) -> bool:
        """Say whether there is anything here for the user; rows are narrowed to that."""
        return not is_stranger(request)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """See has_view_permission()."""
        return not is_stranger(request)

    def get_queryset(self, request: HttpRequest) -> ExecutionQuerySet:
        """Return what the user may view."""
        return WorkflowExecution.objects.visible_to(request.user)

    # The list -----------------------------------------------------------------------------------

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Allow what the filters and our own links take, and nothing else."""
        return lookup in self.lookups or lookup in _lookups_of(self.list_filter)

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that stand around executions."""
        around = [page.url_pattern(self.admin_site) for page in pages()]
        return [*around, *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, with the links that every page has."""
        listed = super().changelist_view

        def show() -> HttpResponse:
            refuse_stranger(request)
            context = page_context(request, self.admin_site, current="executions")
            return listed(request, {**context, **(extra_context or {})})

        return guarded(request, self.admin_site, show)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[WorkflowExecution], *where: Any, **more: Any
    ) -> HttpResponse | None:
        """Do the action to what is ticked; Django fails at what is no id at all."""
        if all(map(canonical, request.POST.getlist(ACTION_CHECKBOX_NAME))):
            return super().response_action(request, queryset, *where, **more)
        self.message_user(request, _("What was ticked is not there."), messages.WARNING)
        return HttpResponseRedirect(request.get_full_path())

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """Read what the columns tell for all rows of the page at once."""
        try:
            shown = super().get_changelist_instance(request)
            shown.result_list = list(shown.result_list.defer(*columns.HEAVY))
        except (OverflowError, DataError) as error:  # a date that no calendar has
            raise IncorrectLookupParameters(error) from error
        shown.title = str(_("Executions"))
        columns.add_whys(shown.result_list)
        texts.add_links(request, self.admin_site, shown.result_list)
        return shown

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WorkflowExecution], search_term: str
    ) -> tuple[QuerySet[WorkflowExecution], bool]:
        """Find by whole id, key or subject, all of which have an index."""
        text = search_term.strip()
        if not text:
            return queryset, False
        executions: ExecutionQuerySet = queryset  # type: ignore[assignment]  # get_queryset()'s
        return reports.search(executions, text), False

    @admin.display(description=_("status"))
    def shown_status(self, row: WorkflowExecution) -> SafeString:
        """Show it by shape, colour and word, and how far it is by the workflow's steps."""
        badge, reach = texts.status_badge(row.status), columns.reach(row)
        if reach is None:
            return badge
        return format_html(
            '{2} <span class="wf-progress"><progress max="{1}" value="{0}"></progress>'
            " <span>{0}/{1}</span></span>",
            reach.step,
            reach.steps,
            badge,
        )

    @admin.display(description=_("execution"))
    def shown_execution(self, row: Any) -> SafeString:
        """Lead to its page: which workflow and version, at which step and attempt, and why."""
        step = ""
        if row.current_step:
            step = format_html(' <span class="wf-step">{}</span>', row.current_step)
        again = ""
        if row.attempt > 1:
            told = _("attempt %(attempt)d") % {"attempt": row.attempt}
            again = format_html(' <span class="wf-again">{}</span>', told)
        return format_html(
            '<a href="{}"><strong>{}</strong></a>{}{}<div class="wf-reason">{}</div>',
            reverse(f"admin:{EXECUTION}", args=[row.pk]),
            texts.name_of(row),
            step,
            again,
            row.why,
        )

    @admin.display(description=_("about"))
    def shown_subject(self, row: Any) -> str:
        """Link to what it is about."""
        link: str = row.link
        return link

    @admin.display(description=_("age"), ordering="created_at")
    def age(self, row: WorkflowExecution) -> SafeString:
        """Show how long ago it was started."""
        return texts.age(row.created_at)

    @admin.display(description=_("took"), empty_value="-")
    def duration(self, row: WorkflowExecution) -> str | None:
        """Show how long it took, or takes so far."""
        took = columns.duration(row)
        return None if took is None else texts.lasted(took)

    # The page of one ----------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Show one execution; 404 where the user may not view it."""
        return ExecutionPage(self.admin_site).respond(request, execution_id=object_id)

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Lead to the history that the engine has written."""

        def lead() -> HttpResponse:
            execution = visible_execution(request, object_id)
            url = reverse(f"admin:{EXECUTION}", args=[execution.pk])
            return HttpResponseRedirect(f"{url}#history")

        return guarded(request, self.admin_site, lead)
