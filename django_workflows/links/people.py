"""Whom to tell that an approval waits for them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.contrib.auth import get_backends, get_user_model
from django.db.models import Q, QuerySet

from django_workflows import wiring
from django_workflows.core.execution import Execution
from django_workflows.core.waits import Wait
from django_workflows.exceptions import NotAllowed
from django_workflows.permissions import permit

logger = logging.getLogger("django_workflows")


def deciders(execution: Execution, wait: Wait, most: int) -> tuple[list[Any], bool]:
    """
    Return at most ``most`` users who may decide on ``wait``, and whether there are more.

    Those that it names, the members of its groups and the holders of its permissions, without who
    may not decide for another reason, or has done so already.
    """
    found = list(islice(_able(execution, wait), most + 1))
    return found[:most], len(found) > most


def _able(execution: Execution, wait: Wait) -> Iterator[Any]:
    # Read once for all: permit() would read it for each of them.
    history = wiring.store().entries(execution.id) if wait.exclude_requester else []
    given = {answer.by for answer in wait.answers}
    for user in _named(wait).order_by("pk").iterator(chunk_size=200):
        if user.get_username() in given:
            continue
        try:
            permit(user, lambda _id: history)(execution, wait)
        except NotAllowed:
            continue
        yield user


def _named(wait: Wait) -> QuerySet[Any]:
    model = get_user_model()
    users = model._default_manager  # noqa: SLF001  Django's public name for it
    wanted = Q(pk__in=[])
    for approver in wait.approvers:
        kind, _, name = approver.partition(":")
        if kind == "user":
            wanted |= Q(**{model.USERNAME_FIELD: name})
        elif kind == "group":
            wanted |= Q(pk__in=users.filter(groups__name=name).values("pk"))
        else:
            for holders in _holders(name):
                wanted |= Q(pk__in=holders.values("pk"))
    return users.filter(wanted)


def _holders(permission: str) -> Iterator[QuerySet[Any]]:
    """Generate those whom each backend that can tell knows to have ``permission``."""
    for backend in get_backends():
        if hasattr(backend, "with_perm"):
            try:
                yield backend.with_perm(permission)
            except ValueError as error:  # a name that is none: nobody has it
                logger.warning("Nobody is asked by the approver perm:%s: %s", permission, error)
