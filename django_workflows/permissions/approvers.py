"""Whom an approval asks, and who may answer it; asked under the row's lock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from django.contrib.auth import get_user_model

from django_workflows.core.decisions import Permit
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.forking import requesters
from django_workflows.core.waits import Wait, WaitKind
from django_workflows.exceptions import NotAllowed


def label(by: Any) -> str | None:
    """Return how the history names ``by``: a user's username, or the text itself."""
    if by is None or isinstance(by, str):
        return by or None
    if not hasattr(by, "get_username"):
        raise TypeError(f"by= takes a user or a username, not {by!r}.")
    username: str = by.get_username()
    return username or None  # that of an anonymous user is empty


def permit(by: Any, history: Callable[[str], Iterable[Entry]]) -> Permit:
    """Return the question, asked under the lock, whether ``by`` may answer a wait."""

    def ask(execution: Execution, wait: Wait) -> None:
        if wait.kind == WaitKind.APPROVAL:
            asked = requesters(execution, history(execution.id)) if wait.exclude_requester else ()
            refuse_decision(by, execution, wait, asked)

    return ask


def refuse_decision(
    by: Any, execution: Execution, wait: Wait, requesters: Collection[str] = ()
) -> None:
    """
    Raise NotAllowed where ``by``, a user, a username or None, may not decide on an approval.

    Approvers are ``user:NAME``, ``group:NAME`` or ``perm:APP.CODENAME``. None of the ``requesters``
    may be among them.
    """
    name = label(by)
    if name is not None and name in requesters:
        did = "started" if name == execution.started_by else "gave the input of"
        raise NotAllowed(
            f"{name} {did} execution {execution.id} and so may not decide {wait.step!r}; another"
            " person must, or the step says exclude_requester=False."
        )
    if name is None and requesters:
        raise NotAllowed(
            f"{', '.join(sorted(requesters))} started execution {execution.id} and may not decide"
            f" {wait.step!r}: say who does with by=."
        )
    if not getattr(by, "is_active", True):
        who = name or "Somebody who is not logged in"
        raise NotAllowed(f"{who} may not decide {wait.step!r}: the account is not active.")
    if not wait.approvers:
        return
    asked = ", ".join(wait.approvers)
    if name is None:
        raise NotAllowed(f"Step {wait.step!r} asks {asked}: say who decides with by=.")
    if not any(_is(by, name, approver) for approver in wait.approvers):
        raise NotAllowed(f"{name} may not decide {wait.step!r}, which asks {asked}.")


def asks(user: Any, wait: Wait) -> bool:
    """Say whether ``wait`` names ``user`` among its approvers."""
    name = label(user)
    return name is not None and any(_is(user, name, approver) for approver in wait.approvers)


def _is(by: Any, name: str, approver: str) -> bool:
    kind, _, wanted = approver.partition(":")
    if kind == "user" and name != wanted:
        return False
    user = _user(by)
    if user is None:
        # A name that code gives may be no user's: that of another system, say.
        return kind == "user" and isinstance(by, str)
    if not user.is_active:
        return False
    if kind == "user":
        return True
    if kind == "group":
        return bool(user.groups.filter(name=wanted).exists())
    return bool(user.has_perm(wanted))


def _user(by: Any) -> Any:
    """Return the user, read anew: what was cached on it may be older than the question."""
    users = get_user_model()._default_manager  # noqa: SLF001  Django's public name for it
    if isinstance(by, str):
        return users.filter(**{get_user_model().USERNAME_FIELD: by}).first()
    return users.filter(pk=by.pk).first()
