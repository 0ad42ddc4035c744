"""What the jobs of all queues call in a worker."""

from __future__ import annotations

from django.utils.module_loading import import_string

#: By its path: what a worker needs to drive is above the runners, and a job carries a name anyway.
PERFORM = "django_workflows.performing.perform"


def perform(execution_id: str) -> None:
    """Drive the execution; see performing.perform(). Raise ExecutionFailed where it failed."""
    import_string(PERFORM)(execution_id)
