"""On whose behalf a verb acts: ``--as USER``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.contrib.auth import get_user_model

from django_workflows import api
from django_workflows.core.execution import Execution
from django_workflows.exceptions import ExecutionNotFound, WorkflowError
from django_workflows.management.verbs.base import named
from django_workflows.permissions import authorize, may


class UnknownUser(WorkflowError, LookupError):
    """Nobody has that username."""


def add_as(parser: ArgumentParser) -> None:
    """Let the line say on whose behalf; see user_of()."""
    parser.add_argument(
        "--as",
        dest="user",
        type=named,
        metavar="USER",
        help="act as this user: only what they may do, and the history names them",
    )


def user_of(options: Mapping[str, Any]) -> Any:
    """
    Return the user that ``--as`` names, or None: who has a shell here is trusted.

    Raise UnknownUser.
    """
    name = options.get("user")
    if name is None:
        return None
    model = get_user_model()
    user = model._default_manager.filter(**{model.USERNAME_FIELD: name}).first()  # noqa: SLF001
    if user is None:
        raise UnknownUser(f"There is no user {name!r}; --as takes a {model.USERNAME_FIELD}.")
    return user


def seen(user: Any, execution_id: str) -> Execution:
    """
    Return an execution that ``user``, or the operator for None, may view.

    Raise ExecutionNotFound, also where they may not: what is hidden is not there.
    """
    execution = api.get(execution_id)
    if user is not None and not may(user, "view", execution):
        raise ExecutionNotFound(execution_id)
    return execution


def permitted(user: Any, action: str, execution_id: str) -> Execution:
    """Return an execution to which ``user`` may do ``action``; see seen(). Raise NotAllowed."""
    execution = seen(user, execution_id)
    if user is not None:
        authorize(user, action, execution)
    return execution


def permitted_to_start(user: Any, workflow_id: str | None) -> None:
    """Raise NotAllowed where ``user`` may not start executions of a workflow."""
    if user is not None:
        authorize(user, "start", workflow_id=workflow_id)
