"""
Who may do what, answered in one place for every face: admin, REST, commands, signed links.

Code that calls the public functions is trusted; people are asked for a right first, by
``authorize()``. Of a decision its approvers are asked once more, under the row's lock.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.utils.module_loading import import_string

from django_workflows import wiring
from django_workflows.conf import settings
from django_workflows.core.decisions import open_waits
from django_workflows.core.execution import Execution
from django_workflows.core.waits import Wait, WaitKind
from django_workflows.exceptions import NotAllowed
from django_workflows.permissions.approvers import asks, label, permit, refuse_decision
from django_workflows.permissions.policy import ACTIONS, Policy, asked_of, permission_for

__all__ = [
    "ACTIONS",
    "Policy",
    "authorize",
    "authorize_answer",
    "label",
    "may",
    "permission_for",
    "permit",
    "policy",
    "refuse_decision",
    "sees_all",
    "visible",
]

_NOTHING = Q(pk__in=[])


def policy() -> Policy:
    """Return the project's policy: an instance of the class that WORKFLOWS["POLICY"] names."""
    made: Policy = import_string(settings.POLICY)()
    return made


def may(
    user: Any, action: str, execution: Execution | None = None, *, workflow_id: str | None = None
) -> bool:
    """
    Say whether ``user`` may do ``action``, one of ACTIONS, to an execution or with a workflow.

    ``execution`` is a record or its row; without one, ask for a ``workflow_id`` (as for "start"),
    or for neither: whether such a thing may be offered at all. Who is asked by an open approval of
    the execution may view it and decide that one, whatever the policy says; which of several
    waits somebody may answer, authorize_answer() says.
    """
    if action not in ACTIONS:
        raise ValueError(f"Unknown action {action!r}; there are {', '.join(ACTIONS)}.")
    if not is_somebody(user):
        return False
    if execution is not None:
        workflow_id = execution.workflow_id
    if _allows(user, action, execution, workflow_id):
        return True
    return execution is not None and action in {"view", "decide"} and _is_asked(user, execution)


def authorize(
    user: Any, action: str, execution: Execution | None = None, *, workflow_id: str | None = None
) -> None:
    """Raise NotAllowed, naming the permission that is missing, where ``may()`` says no."""
    if not may(user, action, execution, workflow_id=workflow_id):
        raise _refused(user, action, execution, workflow_id)


def authorize_answer(user: Any, execution: Execution, wait: Wait) -> None:
    """
    Raise NotAllowed where ``user`` may not answer ``wait``, one of those of ``execution``.

    An approval that names its approvers is theirs. One that names nobody takes the right to decide,
    which whom another approval of the same execution asks need not have; and all else the right to
    resume. Ask of the wait that is then answered, by its id: of an execution's child, of the child.
    """
    if wait.kind != WaitKind.APPROVAL:
        authorize(user, "resume", execution)
    elif wait.approvers and is_somebody(user):
        refuse_decision(user, execution, wait)
    elif not _allows(user, "decide", execution, execution.workflow_id):
        raise _refused(user, "decide", execution, None)


def is_somebody(user: Any) -> bool:
    """Say whether ``user`` is logged in, with an account that is active; others have no rights."""
    return bool(user.is_authenticated and user.is_active)


def _allows(user: Any, action: str, execution: Execution | None, workflow_id: str | None) -> bool:
    return is_somebody(user) and policy().allows(
        user, action, workflow_id=workflow_id, execution=execution
    )


def _refused(
    user: Any, action: str, execution: Execution | None, workflow_id: str | None
) -> NotAllowed:
    who = label(user) or "Somebody who is not logged in"
    what = f"execution {execution.id}" if execution is not None else workflow_id or "workflows"
    return NotAllowed(
        f"{who} may not {action} {what}: that takes the permission {permission_for(action)}, and a"
        " policy that allows it."
    )


def sees_all(user: Any) -> bool:
    """Say whether ``user`` may view every execution, and so be told numbers over all of them."""
    return is_somebody(user) and not policy().visible(user)


def visible(user: Any) -> Q:
    """Return the condition for rows of WorkflowExecution that ``user`` may view; see may()."""
    if not is_somebody(user):
        return _NOTHING
    allowed = policy().visible(user)
    return allowed | asked_of(user) if allowed else allowed


def _is_asked(user: Any, execution: Execution) -> bool:
    waits = open_waits(wiring.store().waits(execution.id))
    return any(wait.kind == WaitKind.APPROVAL and asks(user, wait) for wait in waits)
