"""
Durable workflows for Django: work that takes several steps, survives a crash, and may wait.

The public names; the step kinds are in django_workflows.steps.
"""

from django.db.models import F, Q

from django_workflows.aio import (
    acancel,
    aexplain,
    afork,
    aget,
    aload_workflow,
    aresume,
    aretry,
    arun,
    asend_event,
    askip,
    astart,
    await_,
)
from django_workflows.api import (
    cancel,
    explain,
    fork,
    get,
    load_workflow,
    resume,
    retry,
    run,
    send_event,
    skip,
    start,
    wait,
)
from django_workflows.core.codec import register_enum
from django_workflows.core.execution import (
    Entry,
    Event,
    Execution,
    ExecutionResult,
    ExecutionStatus,
    State,
)
from django_workflows.core.retry import Retry
from django_workflows.core.steps.call import goto, halt, step
from django_workflows.core.waits import Wait
from django_workflows.core.workflow import Workflow, register, registry

__all__ = [
    "Entry",
    "Event",
    "Execution",
    "ExecutionResult",
    "ExecutionStatus",
    "F",
    "Q",
    "Retry",
    "State",
    "Wait",
    "Workflow",
    "acancel",
    "aexplain",
    "afork",
    "aget",
    "aload_workflow",
    "aresume",
    "aretry",
    "arun",
    "asend_event",
    "askip",
    "astart",
    "await_",
    "cancel",
    "explain",
    "fork",
    "get",
    "goto",
    "halt",
    "load_workflow",
    "register",
    "register_enum",
    "registry",
    "resume",
    "retry",
    "run",
    "send_event",
    "skip",
    "start",
    "step",
    "wait",
]
