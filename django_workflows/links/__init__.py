"""
Signed links by which one person takes one decision, from an e-mail or a chat, without logging in.

Include ``django_workflows.links.urls`` in the URL conf; ``links.mail.connect()`` sends them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.urls import NoReverseMatch, reverse

from django_workflows.conf import settings
from django_workflows.core import clock
from django_workflows.core.waits import Wait, WaitKind
from django_workflows.exceptions import ConfigurationError, NotAllowed
from django_workflows.links.tokens import Link

if TYPE_CHECKING:
    from django.http import HttpRequest

__all__ = ["decision_url"]


def decision_url(
    wait: Any,
    person: Any,
    approved: bool,  # noqa: FBT001  one URL for each answer, so it is always said
    *,
    request: HttpRequest | None = None,
    base_url: str | None = None,
    max_age: float | timedelta | None = None,
) -> str:
    """
    Return the address at which ``person``, a user, can take one decision on an open approval.

    ``wait`` is the approval's record, its row or its id. ``request`` or ``base_url`` makes the
    address absolute. ``max_age``, in seconds or as a timedelta, is LINK_MAX_AGE if left out.

    Whoever holds the link decides as that person: give it to nobody else. What the person may do
    is asked when the link is used. Raise NotAllowed where an id names no open approval that asks
    this person, ValueError where a record is no approval or ``max_age`` is over 100 years,
    ConfigurationError where the links are not in the URL conf.
    """
    record = _record(wait, person)
    if record.kind != WaitKind.APPROVAL:
        raise ValueError(f"Step {record.step!r} waits for {record.kind}, not for an approval.")
    age = settings.LINK_MAX_AGE if max_age is None else max_age
    link = Link.of(
        record,
        person,
        approved=approved,
        max_age=_lasting(age),
    )
    path = _path(link)
    if request is not None:
        return request.build_absolute_uri(path)
    return f"{base_url.rstrip('/')}{path}" if base_url else path


def _lasting(age: float | timedelta) -> timedelta:
    seconds = age.total_seconds() if isinstance(age, timedelta) else age
    if not abs(seconds) <= clock.LONGEST.total_seconds():  # NaN is not, either
        raise ValueError(f"max_age must be at most 100 years, not {age!r}.")
    return timedelta(seconds=seconds)


def _record(wait: Any, person: Any) -> Wait:
    if isinstance(wait, Wait):
        return wait
    if hasattr(wait, "to_core"):
        found: Wait = wait.to_core()
        return found
    # Late: the public functions may be imported before Django's apps are ready.
    from django_workflows import reports

    row = reports.inbox(person).filter(pk=wait).first()
    if row is None:
        raise NotAllowed(f"No open approval {wait} asks {person.get_username()}.")
    return row.to_core()


def _path(link: Link) -> str:
    try:
        return reverse("django_workflows_links:decide", args=[link.token()])
    except NoReverseMatch as error:
        raise ConfigurationError(
            "The decision links are not in the URL conf: add"
            ' path("decide/", include("django_workflows.links.urls")).'
        ) from error
