"""Failures: the failed executions, those with one cause together, to be retried together."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_workflows import reports
from django_workflows.admin import texts
from django_workflows.admin.base import EXECUTION, Link, Page, page
from django_workflows.admin.bulk import BulkPage
from django_workflows.admin.tracebacks import cleaned
from django_workflows.models import ExecutionQuerySet, WorkflowEntry, WorkflowExecution
from django_workflows.permissions import may

#: So many clusters are shown, and so many executions of one.
MOST_CLUSTERS = 50
MOST_SHOWN = 25


@page
class FailuresPage(Page):
    """See above; with ``?cluster=KEY`` the newest of one cluster and the traceback."""

    name = "failures"
    path = "failures/"
    title = gettext_lazy("Failures")
    template = "admin/django_workflows/failures.html"
    nav = 40

    def get(self, request: HttpRequest, **kwargs: Any) -> dict[str, Any]:
        """See Page.get()."""
        visible = WorkflowExecution.objects.visible_to(request.user)
        key = request.GET.get("cluster")
        may_retry = may(request.user, "retry")
        if key is not None:
            context = self._one(visible, key)
            texts.add_links(request, self.admin_site, [one["row"] for one in context["rows"]])
            return {**context, "may_retry": may_retry}
        found = reports.failures(visible, limit=MOST_CLUSTERS)
        return {
            "clusters": [
                {
                    "cluster": cluster,
                    "first": texts.moment(cluster.first_at),
                    "last": texts.moment(cluster.last_at),
                    "url": f"{self.url()}?{urlencode({'cluster': cluster.key})}",
                    "retry_url": retry_url(cluster.key),
                }
                for cluster in found
            ],
            "is_more": len(found) == MOST_CLUSTERS,
            "most": MOST_CLUSTERS,
            "may_retry": may_retry,
        }

    def _one(self, visible: ExecutionQuerySet, key: str) -> dict[str, Any]:
        failed = reports.of_cluster(visible, key)
        columns = ("id", "workflow_id", "current_step", "error", "subject", "finished_at")
        rows = list(failed.only(*columns).order_by("-finished_at", "-id")[:MOST_SHOWN])
        if not rows:
            raise Http404(_("No execution fails like this any more."))
        newest = rows[0]
        entry = (
            WorkflowEntry.objects.filter(execution=newest.pk, traceback__isnull=False)
            .order_by("-id")
            .first()
        )
        return {
            "title": _("Failures of %(workflow)s at %(step)s")
            % {"workflow": newest.workflow_id, "step": newest.current_step},
            "parents": [Link(title=self.title, url=self.url())],
            "newest": newest,
            "traceback": cleaned(entry.traceback) if entry else (),
            "rows": [
                {
                    "row": row,
                    "url": reverse(f"admin:{EXECUTION}", args=[row.pk]),
                    "ended": texts.moment(row.finished_at),
                }
                for row in rows
            ],
            "number": reports.count_of(failed),
            "retry_url": retry_url(key),
        }


def retry_url(key: str) -> str:
    """Return the address of the preview of retrying a cluster."""
    return f"{BulkPage.url()}?{urlencode({'verb': 'retry', 'cluster': key})}"
