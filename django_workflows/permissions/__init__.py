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
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import NotAllowed
from django_workflows.permissions.approvers import asks, label, permit, refuse_decision
from django_workflows.permissions.policy import ACTIONS, Policy, asked_of, permission_for

__all__ = [
    "ACTIONS",
    "Policy",
    "authorize",
    "label",
    "may",
    "permission_for",
    "permit",
    "policy",
    "refuse_decision",
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
    the execution may view it and decide, whatever the policy says.
    """
    if action not in ACTIONS:
        raise ValueError(f"Unknown action {action!r}; there are {', '.join(ACTIONS)}.")
    if not (user.is_authenticated and user.is_active):
        return False
    if execution is not None:
        workflow_id = execution.workflow_id
    if policy().allows(user, action, workflow_id=workflow_id, execution=execution):
        return True
    return execution is not None and action in {"view", "decide"} and _is_asked(user, execution)


def authorize(
    user: Any, action: str, execution: Execution | None = None, *, workflow_id: str | None = None
) -> None:
    """Raise NotAllowed, naming the permission that is missing, where ``may()`` says no."""
    if may(user, action, execution, workflow_id=workflow_id):
        return
    who = label(user) or "Somebody who is not logged in"
    what = f"execution {execution.id}" if execution is not None else workflow_id or "workflows"
    raise NotAllowed(
        f"{who} may not {action} {what}: that takes the permission {permission_for(action)}, and a"
        " policy that allows it."
    )


def visible(user: Any) -> Q:
    """Return the condition for rows of WorkflowExecution that ``user`` may view; see may()."""
    if not (user.is_authenticated and user.is_active):
        return _NOTHING
    allowed = policy().visible(user)
    return allowed | asked_of(user) if allowed else allowed


def _is_asked(user: Any, execution: Execution) -> bool:
    waits = open_waits(wiring.store().waits(execution.id))
    return any(wait.kind == WaitKind.APPROVAL and asks(user, wait) for wait in waits)
