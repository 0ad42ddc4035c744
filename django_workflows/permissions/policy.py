"""The permissions that an action takes, and the class that a project may narrow them by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.db.models import Q

from django_workflows.core.control import VERBS
from django_workflows.core.execution import Execution

if TYPE_CHECKING:
    from django.contrib.auth.models import AbstractUser

#: What a person can do to an execution; each takes the permission of that name.
ACTIONS = ("view", *VERBS)


def permission_for(action: str) -> str:
    """Return the Django permission that an action takes."""
    return f"django_workflows.{action}_workflowexecution"


class Policy:
    """
    Who may do what by the rights that Django keeps: the model permissions of executions.

    A project narrows it, by workflow or by subject, in a subclass named by WORKFLOWS["POLICY"].
    Both methods have to agree, or a list shows what its page then refuses. Neither is asked about
    a user who is not active.
    """

    def allows(
        self,
        user: AbstractUser,
        action: str,
        *,
        workflow_id: str | None = None,
        execution: Execution | None = None,
    ) -> bool:
        """
        Say whether ``user`` may do ``action``, one of ACTIONS.

        Without an execution: with ``workflow_id``, or with any. To start includes to view what one
        has started.
        """
        if user.has_perm(permission_for(action)):
            return True
        if action != "view" or not user.has_perm(permission_for("start")):
            return False
        return execution is None or execution.started_by == user.get_username()

    def visible(self, user: AbstractUser) -> Q:
        """Return the condition for the rows of WorkflowExecution that ``user`` may view."""
        if user.has_perm(permission_for("view")):
            return Q()
        if user.has_perm(permission_for("start")):
            return Q(started_by=user.get_username())
        return Q(pk__in=[])


def approver_names(user: AbstractUser) -> Iterator[str]:
    """Generate how an approval may ask for ``user``: by name, by group, by permission."""
    yield f"user:{user.get_username()}"
    for group in user.groups.values_list("name", flat=True):
        yield f"group:{group}"
    for permission in sorted(user.get_all_permissions()):
        yield f"perm:{permission}"


def asked_of(user: AbstractUser) -> Q:
    """Return the condition for executions that an open approval asks ``user`` about."""
    # Late: the public functions may be imported before Django's apps are ready.
    from django_workflows.models import WorkflowWait

    return WorkflowWait.objects.asking(approver_names(user)).executions()
