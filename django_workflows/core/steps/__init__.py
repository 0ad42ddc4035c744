"""Every step kind. A new one is a module beside these, and an import here."""

from django_workflows.core.steps.approval import Approval
from django_workflows.core.steps.base import Run, Scope, ScopeEnd, Step, step_types
from django_workflows.core.steps.call import Call, goto, halt, step
from django_workflows.core.steps.data import Assign, End, Router, Start, Transform, When
from django_workflows.core.steps.fanout import ForEach
from django_workflows.core.steps.nested import Loop, SubWorkflow
from django_workflows.core.steps.parallel import Parallel
from django_workflows.core.steps.waiting import Halt, Sleep, SleepUntil, WaitForEvent

__all__ = [
    "Approval",
    "Assign",
    "Call",
    "End",
    "ForEach",
    "Halt",
    "Loop",
    "Parallel",
    "Router",
    "Run",
    "Scope",
    "ScopeEnd",
    "Sleep",
    "SleepUntil",
    "Start",
    "Step",
    "SubWorkflow",
    "Transform",
    "WaitForEvent",
    "When",
    "goto",
    "halt",
    "step",
    "step_types",
]
