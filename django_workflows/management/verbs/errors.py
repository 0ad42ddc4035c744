"""What an error is for the shell."""

from __future__ import annotations

from django_workflows.exceptions import (
    EventTaken,
    ExecutionNotFound,
    InputError,
    InvalidTransition,
    NotAllowed,
    NotResumable,
    PayloadError,
    ResponseError,
    StaleExecution,
    UnknownWorkflow,
    WorkflowError,
)
from django_workflows.management.verbs.base import Code
from django_workflows.management.verbs.people import UnknownUser
from django_workflows.management.verbs.values import Unreadable

_CODES: tuple[tuple[type[WorkflowError], Code], ...] = (
    (ExecutionNotFound, Code.NOT_FOUND),
    (UnknownWorkflow, Code.NOT_FOUND),
    (UnknownUser, Code.NOT_FOUND),
    (NotAllowed, Code.NOT_ALLOWED),
    (InputError, Code.MISUSED),
    (ResponseError, Code.MISUSED),
    (PayloadError, Code.MISUSED),
    (Unreadable, Code.MISUSED),
    (NotResumable, Code.CONFLICT),
    (InvalidTransition, Code.CONFLICT),
    (StaleExecution, Code.CONFLICT),
    (EventTaken, Code.CONFLICT),
)


def code_for(error: WorkflowError) -> Code:
    """Return the exit code that an error ends the command with."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code.FAILED)
