"""How the crash tests wait, and what they look at."""

import time

from django_workflows.models import WorkflowEntry, WorkflowExecution


def wait_for_ends(count, seconds):
    """Wait until ``count`` executions have ended; return how many did."""
    until = time.monotonic() + seconds
    while True:
        ended = WorkflowExecution.objects.filter(finished_at__isnull=False).count()
        if ended >= count or time.monotonic() > until:
            return ended
        time.sleep(0.2)


def statuses():
    """Return the statuses that executions have."""
    return set(WorkflowExecution.objects.values_list("status", flat=True))


def abandoned():
    """Return how often a driver was taken for dead."""
    return WorkflowEntry.objects.filter(action="abandoned").count()
