"""Bulk actions: a counted preview, then as many at a time as a request holds, and every result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_workflows import reports
from django_workflows.admin import texts
from django_workflows.admin.base import Link, Page, guarded, page, page_context
from django_workflows.admin.bulk_doing import Said, carry_out
from django_workflows.admin.bulk_plan import (
    MOST_PLANNED,
    VERBS,
    Drafted,
    Plan,
    Preview,
    Verb,
    current,
    draft,
)
from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import ExecutionQuerySet, WorkflowExecution
from django_workflows.permissions import authorize, may

if TYPE_CHECKING:
    from django.contrib.admin import AdminSite
    from django.db.models import QuerySet

#: So many are done in one request, if it does not take too long.
MOST_AT_ONCE = 100

#: The signed list of what a result page is about, for the counts that it keeps up to date.
_DONE_SALT = "django_workflows.admin.bulk.done"


class VerbForm(forms.Form):
    """What to say; and for a retry where to begin, if all have the same steps."""

    from_step = forms.ChoiceField(
        label=gettext_lazy("Begin at"),
        required=False,
        help_text=gettext_lazy("What was undone by its compensations needs a step to begin at."),
    )
    reason = forms.CharField(max_length=2_000, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, preview: Preview, data: Any = None) -> None:
        super().__init__(data)
        verb = preview.plan.verb
        self.fields["reason"].label = verb.reason
        self.fields["reason"].required = verb.must_say
        if verb.name != "retry" or not preview.steps:
            del self.fields["from_step"]
            return
        failed = ("", _("the step that failed"))
        self.fields["from_step"].choices = [  # type: ignore[attr-defined]  # of a ChoiceField
            failed,
            *((step, step) for step in preview.steps),
        ]

    @property
    def said(self) -> Said:
        """Return what was filled in."""
        given = self.cleaned_data
        return Said(reason=given["reason"], from_step=given.get("from_step") or None)


@page
class BulkPage(Page):
    """
    The preview of a bulk action, and its results.

    The list comes here by its actions; the page of failures by ``?verb=retry&cluster=KEY``.
    """

    name = "bulk"
    path = "bulk/"
    title = gettext_lazy("Bulk action")
    template = "admin/django_workflows/bulk.html"
    live_template = "admin/django_workflows/bulk_live.html"

    def enter(self, request: HttpRequest) -> None:
        """Let in every member of the staff: who has decided the last may see what came of it."""

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """Preview what the address names; without anything, say how to come here."""
        if "done" in request.GET:
            return {"statuses": _statuses(request.GET["done"], request.user)}
        verb = VERBS.get(request.GET.get("verb", ""))
        if verb is None or "cluster" not in request.GET:
            return {}
        authorize_verb(request.user, verb)
        visible = WorkflowExecution.objects.visible_to(request.user)
        chosen = reports.of_cluster(visible, request.GET["cluster"])
        return preview_context(request, draft(verb, chosen, request.user))

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        """Do the next ones of a plan, and show what became of each."""
        try:
            plan = Plan.read(request.POST.get("plan", ""), request.user)
        except signing.SignatureExpired:
            return self._refuse(request, _("This preview is older than a day; make a new one."))
        except signing.BadSignature:
            return self._refuse(request, _("This preview was altered; make a new one."))
        authorize_verb(request.user, plan.verb)
        form = VerbForm(Preview(plan, request.user), request.POST)
        if not form.is_valid():
            drafted = Drafted(plan=plan, left_out=())
            return self.show(request, preview_context(request, drafted, form))
        most = 1 if "probe" in request.POST else MOST_AT_ONCE
        return self.show(request, self._carried_out(request, plan, form, most))

    def _carried_out(
        self, request: HttpRequest, plan: Plan, form: VerbForm, most: int
    ) -> dict[str, Any]:
        first, _rest = plan.split(most)
        shown = current(first, request.user)
        results = list(carry_out(plan.verb, shown, request.user, form.said))
        done, rest = plan.split(len(results))
        ids = [item.execution_id for item in done]
        context = preview_context(request, Drafted(plan=rest, left_out=()), form)
        return {
            **context,
            "results": results,
            "number_done": sum(result.is_done for result in results),
            "number_not": sum(not result.is_done for result in results),
            "was_probe": most == 1,
            "done_token": signing.dumps(ids, salt=_DONE_SALT, compress=True),
            "statuses": status_counts(ids, request.user),
        }

    def show(self, request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
        """See Page.show(). It belongs to the page that led here: the list, or the failures."""
        cluster = (request.POST if request.method == "POST" else request.GET).get("cluster")
        around = page_context(
            request, self.admin_site, current="executions" if cluster is None else "failures"
        )
        failures = Link(title=_("Failures"), url=reverse("admin:django_workflows_failures"))
        around |= {"cluster": cluster, "parents": [] if cluster is None else [failures]}
        if "preview" in context:
            rows = [shown.execution for shown in context["preview"].sample if shown.execution]
            texts.add_links(request, self.admin_site, rows)
        whole = {**around, "title": self.title, "page": self, **context}
        return TemplateResponse(request, self.template, whole)

    def _refuse(self, request: HttpRequest, why: str) -> HttpResponse:
        messages.error(request, why)
        return HttpResponseRedirect(self.url())


def authorize_verb(user: Any, verb: Verb) -> None:
    """Raise NotAllowed where ``user`` may do this to nothing; approvers need no permission."""
    if not verb.decides:
        authorize(user, verb.action)


def preview_context(
    request: HttpRequest, drafted: Drafted, form: VerbForm | None = None
) -> dict[str, Any]:
    """Return what the page shows of a plan before it is carried out."""
    plan = drafted.plan
    preview = Preview(plan, request.user)
    return {
        "title": plan.verb.title,
        "verb": plan.verb,
        "plan": plan,
        "token": plan.token(),
        "preview": preview,
        "left_out": drafted.left_out,
        "is_more": drafted.is_more,
        "most_planned": MOST_PLANNED,
        "now": min(preview.number, MOST_AT_ONCE),
        "button": plan.verb.doing % {"number": min(preview.number, MOST_AT_ONCE)},
        "form": form or VerbForm(preview),
    }


def _statuses(token: str, user: Any) -> Sequence[tuple[Any, int]]:
    try:
        return status_counts(signing.loads(token, salt=_DONE_SALT), user)
    except signing.BadSignature:
        return []


def status_counts(ids: Sequence[str], user: Any) -> Sequence[tuple[Any, int]]:
    """Return how many of these executions there are of each status, as badges."""
    rows = WorkflowExecution.objects.visible_to(user).filter(pk__in=ids)
    counted = Counter(rows.values_list("status", flat=True))
    return [
        (texts.status_badge(ExecutionStatus(status)), number)
        for status, number in counted.most_common()
    ]


# The list ---------------------------------------------------------------------------------------


class BulkActions:
    """For the ModelAdmin of executions: its actions lead to the preview."""

    admin_site: ClassVar[AdminSite]

    def get_actions(self, request: HttpRequest, action_location: Any = None) -> dict[str, Any]:
        """
        Return the verbs that the user may use; deciding is open to whoever is asked.

        ``action_location`` is Django's from 6.1 on, and of the list alone here.
        """
        user = request.user
        offered = [verb for verb in VERBS.values() if verb.decides or may(user, verb.action)]
        return {verb.name: (_list_action(verb), verb.name, verb.title) for verb in offered}


def _list_action(verb: Verb) -> Callable[..., HttpResponse]:
    def act(
        model_admin: admin.ModelAdmin[Any], request: HttpRequest, chosen: QuerySet[Any]
    ) -> HttpResponse:
        site = model_admin.admin_site
        executions: ExecutionQuerySet = chosen  # type: ignore[assignment]  # get_queryset()'s

        def answer() -> HttpResponse:
            authorize_verb(request.user, verb)
            drafted = draft(verb, executions, request.user)
            return BulkPage(site).show(request, preview_context(request, drafted))

        return guarded(request, site, answer)

    act.__name__ = verb.name
    return act
