"""A first, plain admin: look at executions, and decide, retry or cancel them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from django_workflows import api
from django_workflows.core import codec
from django_workflows.exceptions import WorkflowError
from django_workflows.models import WorkflowEntry, WorkflowExecution, WorkflowWait

if TYPE_CHECKING:
    EntryTable = admin.TabularInline[WorkflowEntry, WorkflowExecution]
    WaitTable = admin.TabularInline[WorkflowWait, WorkflowExecution]
    ExecutionPages = admin.ModelAdmin[WorkflowExecution]
else:  # generic for the type checker only
    EntryTable = WaitTable = admin.TabularInline
    ExecutionPages = admin.ModelAdmin

#: One action over more than this many executions would hold a request for too long.
MOST_AT_ONCE = 100


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


def readable(value: Any) -> SafeString:
    """Return storable data as indented, escaped JSON."""
    text = json.dumps(codec.encode(value), indent=2, ensure_ascii=False)
    return format_html("<pre>{}</pre>", text)


class EntryInline(ReadOnly, EntryTable):
    """The history of an execution."""

    model = WorkflowEntry
    verbose_name_plural = _("history")
    fields = ("timestamp", "step_id", "action", "attempt", "duration_ms", "shown", "error", "by")
    readonly_fields = fields
    ordering = ("id",)
    show_change_link = False

    @admin.display(description=_("output"))
    def shown(self, entry: WorkflowEntry) -> SafeString:
        """Show what the step left."""
        return readable(entry.output)


class WaitInline(ReadOnly, WaitTable):
    """What an execution waits for, and what was answered."""

    model = WorkflowWait
    fields = ("step", "kind", "status", "prompt", "shown_approvers", "wake_at", "shown_answers")
    readonly_fields = fields

    @admin.display(description=_("approvers"))
    def shown_approvers(self, wait: WorkflowWait) -> str:
        """Show who may decide."""
        return ", ".join(wait.approvers) or "-"

    @admin.display(description=_("answers"))
    def shown_answers(self, wait: WorkflowWait) -> SafeString:
        """Show who said what."""
        return readable([answer.to_dict() for answer in wait.answers])


@admin.register(WorkflowExecution)
class ExecutionAdmin(ReadOnly, ExecutionPages):
    """Executions, newest first; whoever may view them, and the verbs each permission allows."""

    list_display = ("id", "workflow_id", "status", "current_step", "subject", "created_at", "error")
    list_filter = ("status", "workflow_id", "workflow_version", "created_at")
    search_fields = ("=id", "=idempotency_key", "=subject")
    date_hierarchy = None
    show_full_result_count = False
    list_per_page = 50
    inlines = (WaitInline, EntryInline)
    actions = ("approve", "reject", "retry", "cancel")
    fields = (
        "why",
        ("workflow_id", "workflow_version", "status"),
        ("current_step", "attempt"),
        "error",
        "shown_input",
        "shown_ctx",
        "shown_result",
        ("created_at", "started_at", "finished_at", "deadline_at"),
        ("started_by", "subject", "idempotency_key", "parent"),
        ("lease_owner", "lease_expires_at", "fence", "claims"),
    )

    @admin.display(description=_("why it is here"))
    def why(self, execution: WorkflowExecution) -> str:
        """Say it in one sentence."""
        return api.explain(execution.id)

    @admin.display(description=_("input"))
    def shown_input(self, execution: WorkflowExecution) -> SafeString:
        """Show the input."""
        return readable(execution.input)

    @admin.display(description=_("variables"))
    def shown_ctx(self, execution: WorkflowExecution) -> SafeString:
        """Show ctx."""
        return readable(execution.ctx)

    @admin.display(description=_("result"))
    def shown_result(self, execution: WorkflowExecution) -> SafeString:
        """Show the result."""
        return readable(execution.result)

    # Verbs --------------------------------------------------------------------------------------

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Say whether the decide actions are offered; each approval asks its approvers again."""
        return request.user.has_perm("django_workflows.decide_workflowexecution")

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Say whether the retry action is offered."""
        return request.user.has_perm("django_workflows.retry_workflowexecution")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Say whether the cancel action is offered."""
        return request.user.has_perm("django_workflows.cancel_workflowexecution")

    @admin.action(description=_("Approve selected executions"), permissions=["decide"])
    def approve(self, request: HttpRequest, executions: QuerySet[WorkflowExecution]) -> None:
        """Approve the one open approval of each."""
        self._each(request, executions, lambda id_: api.resume(id_, approved=True, by=request.user))

    @admin.action(description=_("Reject selected executions"), permissions=["decide"])
    def reject(self, request: HttpRequest, executions: QuerySet[WorkflowExecution]) -> None:
        """Reject the one open approval of each."""
        self._each(
            request, executions, lambda id_: api.resume(id_, approved=False, by=request.user)
        )

    @admin.action(description=_("Retry selected executions"), permissions=["retry"])
    def retry(self, request: HttpRequest, executions: QuerySet[WorkflowExecution]) -> None:
        """Drive each on from the step that failed."""
        self._each(request, executions, lambda id_: api.retry(id_, by=request.user))

    @admin.action(description=_("Cancel selected executions"), permissions=["cancel"])
    def cancel(self, request: HttpRequest, executions: QuerySet[WorkflowExecution]) -> None:
        """End each that is under way."""
        self._each(request, executions, lambda id_: api.cancel(id_, by=request.user))

    def _each(
        self,
        request: HttpRequest,
        executions: QuerySet[WorkflowExecution],
        verb: Callable[[str], object],
    ) -> None:
        """Apply ``verb`` to each, and tell of every one that it could not be applied to."""
        ids = list(
            executions.order_by("created_at").values_list("id", flat=True)[: MOST_AT_ONCE + 1]
        )
        if len(ids) > MOST_AT_ONCE:
            self.message_user(
                request,
                _("Choose at most %(most)d executions at once.") % {"most": MOST_AT_ONCE},
                messages.ERROR,
            )
            return
        done = 0
        for id_ in ids:
            try:
                verb(str(id_))
            except (WorkflowError, PermissionDenied) as error:
                self.message_user(request, str(error), messages.ERROR)
            else:
                done += 1
        if done:
            told = ngettext("%(done)d execution changed.", "%(done)d executions changed.", done)
            self.message_user(request, told % {"done": done}, messages.SUCCESS)
