"""
The tables of OrmStore: the core's frozen types, field for field.

Rows are written by the store alone. Whoever reads them (the admin does) gets values as the core
holds them, ids as text included, and the frozen record itself by ``to_core()``.
"""

from django_workflows.models.executions import (
    ExecutionQuerySet,
    WorkflowEntry,
    WorkflowExecution,
    WorkflowVersion,
    subject_key,
)
from django_workflows.models.mirrors import Mirror
from django_workflows.models.waiting import (
    Mentions,
    WaitQuerySet,
    WorkflowEvent,
    WorkflowWait,
)
from django_workflows.models.working import WorkflowChore, WorkflowPresence

__all__ = [
    "ExecutionQuerySet",
    "Mentions",
    "Mirror",
    "WaitQuerySet",
    "WorkflowChore",
    "WorkflowEntry",
    "WorkflowEvent",
    "WorkflowExecution",
    "WorkflowPresence",
    "WorkflowVersion",
    "WorkflowWait",
    "subject_key",
]
