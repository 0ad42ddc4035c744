"""Find executions by what identifies them."""

from __future__ import annotations

from django.db.models import Q

from django_workflows.core.ids import canonical
from django_workflows.models import ExecutionQuerySet, WorkflowVersion


def search(executions: ExecutionQuerySet, text: str) -> ExecutionQuerySet:
    """
    Return the executions that have ``text`` for id, idempotency key or subject, as a whole.

    Blanks around it do not count, and nothing is looked for where there is no more. One query for
    the names of the workflows, since keys are found by workflow; the rows are found by indexes.
    """
    text = text.strip()
    if not text:
        return executions
    versions = WorkflowVersion.objects.using(executions.db).order_by()
    names = versions.values_list("workflow_id", flat=True).distinct()
    found = Q(subject=text) | Q(workflow_id__in=list(names), idempotency_key=text)
    if (name := canonical(text)) is not None:
        found |= Q(pk=name)
    return executions.filter(found)
