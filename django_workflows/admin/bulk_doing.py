"""What a bulk action does to each item, and what became of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError
from django.utils.translation import gettext as _

from django_workflows import api
from django_workflows.admin.bulk_plan import Shown, Verb
from django_workflows.exceptions import StoreUnavailable, WorkflowError
from django_workflows.permissions import authorize

logger = logging.getLogger("django_workflows")

#: So long a request may take, in seconds, before the rest is left for the next.
MOST_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the form asked for."""

    reason: str
    from_step: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one item."""

    shown: Shown
    is_done: bool
    text: str


def carry_out(verb: Verb, items: Iterator[Shown], user: Any, said: Said) -> Iterator[Result]:
    """
    Apply ``verb`` to each item that is as it was shown, and yield what became of it.

    It stops when the request has taken long enough, and where the database fails, which the others
    would meet as well; one is always done.
    """
    until = time.monotonic() + MOST_SECONDS
    for shown in items:
        try:
            yield _applied(verb, shown, user, said)
        except (DatabaseError, StoreUnavailable) as error:
            logger.exception("Bulk %s of execution %s failed", verb.name, shown.item.execution_id)
            yield Result(shown=shown, is_done=False, text=_failed(error))
            return
        if time.monotonic() > until:
            return


def _failed(error: Exception) -> str:
    # What a database says of itself may quote what it stores: that is for the log.
    told = _("Not done, the database failed: %s. Those after it were left as they are.")
    return told % type(error).__name__


def _applied(verb: Verb, shown: Shown, user: Any, said: Said) -> Result:
    if shown.changed:
        return Result(shown=shown, is_done=False, text=_("Left as it is. ") + shown.changed)
    try:
        if not verb.decides:
            authorize(user, verb.action, shown.execution)  # type: ignore[arg-type]  # a row does
        _DO[verb.name](shown, user, said)
    except StoreUnavailable:
        raise
    except WorkflowError as error:
        return Result(shown=shown, is_done=False, text=str(error))
    return Result(shown=shown, is_done=True, text=_("Done."))


def _decide(shown: Shown, user: Any, said: Said, *, approved: bool) -> None:
    # By the wait that was shown: a later step is never decided unseen.
    api.resume(
        shown.item.execution_id,
        approved=approved,
        response=said.reason or None,
        step=shown.item.wait_id,
        by=user,
    )


_DO: dict[str, Callable[[Shown, Any, Said], object]] = {
    "retry": lambda shown, user, said: api.retry(
        shown.item.execution_id,
        from_step=said.from_step,
        by=user,
        reason=said.reason,
        expected_revision=shown.item.revision,
    ),
    "cancel": lambda shown, user, said: api.cancel(
        shown.item.execution_id, said.reason, by=user, expected_revision=shown.item.revision
    ),
    "approve": lambda shown, user, said: _decide(shown, user, said, approved=True),
    "reject": lambda shown, user, said: _decide(shown, user, said, approved=False),
}
