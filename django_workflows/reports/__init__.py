"""
What the faces ask about many executions at once: counts, lists, clusters and times.

Whoever calls passes executions that are already narrowed to those that a user may view, by
``WorkflowExecution.objects.visible_to(user)``. Nothing here counts millions: numbers stop at a cap
and say so, and samples are of the newest.
"""

from django_workflows.reports.counting import Count, count_of, counts, per_workflow
from django_workflows.reports.failing import Cluster, failures, of_cluster
from django_workflows.reports.hours import Hour, per_hour
from django_workflows.reports.paging import CappedPaginator
from django_workflows.reports.searching import search
from django_workflows.reports.timing import StepTimes, step_times
from django_workflows.reports.waiting import inbox, is_asked, oldest_wait

__all__ = [
    "CappedPaginator",
    "Cluster",
    "Count",
    "Hour",
    "StepTimes",
    "count_of",
    "counts",
    "failures",
    "inbox",
    "is_asked",
    "of_cluster",
    "oldest_wait",
    "per_hour",
    "per_workflow",
    "search",
    "step_times",
]
