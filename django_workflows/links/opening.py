"""Whether a link may be used, asked anew each time: who holds it, and what became of the wait."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from django.contrib.auth import get_user_model
from django.core.signing import BadSignature, SignatureExpired
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _

from django_workflows import wiring
from django_workflows.core.execution import Execution
from django_workflows.core.waits import Answer, Cause, Wait, WaitStatus
from django_workflows.exceptions import ExecutionNotFound, NotAllowed
from django_workflows.links.tokens import Link
from django_workflows.permissions import authorize_answer, permit


class Closed(Exception):
    """The link decides nothing: ``title`` and ``text`` say so, with the HTTP ``status``."""

    def __init__(self, status: HTTPStatus, title: str, text: str) -> None:
        self.status = status
        self.title = title
        self.text = text
        super().__init__(title)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A link that its person may use now."""

    link: Link
    person: Any
    execution: Execution
    wait: Wait


def opened(token: str) -> Opened:
    """
    Return what ``token`` may be used for. Raise Closed, StoreUnavailable.

    Whoever may not decide is told nothing of the execution.
    """
    link = _read(token)
    person = _person(link)
    execution, wait = _asked(link)
    try:
        permit(person, wiring.store().entries)(execution, wait)
        authorize_answer(person, execution, wait)
    except NotAllowed as error:
        raise _refused() from error
    refuse_closed(wait, person)
    return Opened(link=link, person=person, execution=execution, wait=wait)


def _read(token: str) -> Link:
    try:
        return Link.read(token)
    except SignatureExpired as error:
        raise Closed(
            HTTPStatus.GONE,
            _("This link has expired"),
            _("It could be used for some time only. Log in to decide, or ask for a new link."),
        ) from error
    except BadSignature as error:
        raise Closed(
            HTTPStatus.NOT_FOUND,
            _("This link is not valid"),
            _("Parts of it may have been lost on the way. Copy the whole address and try again."),
        ) from error


def _person(link: Link) -> Any:
    users = get_user_model()._default_manager  # noqa: SLF001  Django's public name for it
    person = users.filter(pk=link.person).first()
    if person is None or not person.is_active:
        raise _refused()
    return person


def _refused() -> Closed:
    return Closed(
        HTTPStatus.FORBIDDEN,
        _("You may not decide this"),
        _("Whom this link was made for is not, or not any more, among those who may decide."),
    )


def _asked(link: Link) -> tuple[Execution, Wait]:
    store = wiring.store()
    try:
        execution = store.load(link.execution_id)
    except ExecutionNotFound as error:
        raise _withdrawn() from error
    for wait in store.waits(execution.id):
        if wait.id == link.wait_id and wait.step == link.step:
            return execution, wait
    raise _withdrawn()


def _withdrawn() -> Closed:
    return Closed(
        HTTPStatus.GONE,
        _("No decision is needed any more"),
        _("What you were asked about was cancelled, or has gone on without you."),
    )


def refuse_closed(wait: Wait, person: Any) -> None:
    """Raise Closed where ``person`` has decided already, or the wait is open no more."""
    own = [answer for answer in wait.answers if answer.by == person.get_username()]
    if wait.status == WaitStatus.OPEN and not own:
        return
    answer = own[-1] if own else wait.answer
    if answer is None or (wait.status == WaitStatus.WITHDRAWN and not own):
        raise _withdrawn()
    raise Closed(HTTPStatus.CONFLICT, _("This was decided already"), _told(answer, own=bool(own)))


def _told(answer: Answer, *, own: bool) -> str:
    """Say who decided what, and when."""
    # Without a full stop at its end, as local forms may have, since a sentence ends with it.
    at = date_format(localtime(answer.at), "D Y-m-d H:i T")
    facts = {"by": answer.by or _("Somebody"), "at": at}
    if answer.cause != Cause.PERSON:
        return _("Nobody decided in time: it was closed on %(at)s.") % facts
    if own and answer.approved:
        return _("You approved it on %(at)s.") % facts
    if own:
        return _("You rejected it on %(at)s.") % facts
    if answer.approved:
        return _("%(by)s approved it on %(at)s.") % facts
    return _("%(by)s rejected it on %(at)s.") % facts
