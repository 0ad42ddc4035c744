"""
E-mails that carry decision links to the approvers.

    # apps.py of the project, in ready()
    mail.connect("https://shop.example.com")

Each approver gets a mail of their own when an execution halts for an approval, and again with its
reminder. Sent once that is committed; what goes wrong is logged and stops nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings as django_settings
from django.core.cache import cache
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import NoReverseMatch, reverse
from django.utils import timezone, translation

from django_workflows import wiring
from django_workflows.conf import settings
from django_workflows.core import clock
from django_workflows.core.execution import Event, Execution
from django_workflows.core.schemas import response_schema
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.exceptions import ConfigurationError
from django_workflows.links import decision_url
from django_workflows.links.people import deciders
from django_workflows.links.shown import name_of, workflow_name
from django_workflows.signals import workflow_halted, workflow_reminded

logger = logging.getLogger("django_workflows")

#: Mails that one approval sends: a permission may be held by thousands.
MOST_MAILS = 100

#: Characters of a subject.
MOST_SUBJECT = 150

_UID = "django_workflows.links.mail"


def connect(
    base_url: str,
    *,
    sender: Any = None,
    from_email: str | None = None,
    most: int = MOST_MAILS,
) -> Mailer:
    """
    Send the links of every approval from now on, or only of the workflow class ``sender``.

    ``base_url`` is where the site is reached: "https://shop.example.com". ``from_email`` is
    DEFAULT_FROM_EMAIL if left out. More than ``most`` people are not mailed about one approval;
    that is logged. Called again, it replaces what was said before. Raise ConfigurationError where
    ``base_url`` is no such address.
    """
    if not base_url.startswith(("https://", "http://")):
        raise ConfigurationError(
            f"base_url={base_url!r} must begin with https://, as links in an e-mail have to."
        )
    disconnect(sender=sender)
    mailer = Mailer(base_url=base_url, from_email=from_email, most=most)
    for signal, receiver in _receivers(mailer):
        # Not weak: nothing else holds it.
        signal.connect(receiver, sender=sender, weak=False, dispatch_uid=_UID)
    return mailer


def disconnect(*, sender: Any = None) -> None:
    """Send no more of them; see connect()."""
    for signal in (workflow_halted, workflow_reminded):
        signal.disconnect(sender=sender, dispatch_uid=_UID)


def _receivers(mailer: Mailer) -> list[tuple[Any, Callable[..., None]]]:
    return [(workflow_halted, mailer.halted), (workflow_reminded, mailer.reminded)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailer:
    """Sends the links; see connect()."""

    base_url: str
    from_email: str | None = None
    most: int = MOST_MAILS

    def halted(self, sender: Any, event: Event, **kwargs: Any) -> None:
        """Mail about the approvals that an execution has come to, on commit."""
        _on_commit(partial(self._ask, event.execution_id), event)

    def reminded(self, sender: Any, event: Event, **kwargs: Any) -> None:
        """Mail once more about one that has stood open for long, on commit."""
        _on_commit(partial(self._ask, event.execution_id, again=event.data["wait_id"]), event)

    def _ask(self, execution_id: str, again: str | None = None) -> None:
        store = wiring.store()
        waits = store.waits(execution_id, status=WaitStatus.OPEN)
        asking = [wait for wait in waits if wait.kind == WaitKind.APPROVAL]
        if again is not None:
            chosen = [wait for wait in asking if wait.id == again]
        else:
            chosen = [wait for wait in asking if _is_news(wait)]
        if chosen:
            execution = store.load(execution_id)
            for wait in chosen:
                self.ask(execution, wait, is_reminder=again is not None)

    def ask(self, execution: Execution, wait: Wait, *, is_reminder: bool = False) -> int:
        """Mail to everybody who may decide on ``wait``; return how many mails were sent."""
        people, is_cut = deciders(execution, wait, self.most)
        extra = {"execution_id": execution.id, "workflow_id": execution.workflow_id}
        if is_cut:
            logger.warning(
                "Step %s of execution %s asks more than %d people: the others get no e-mail",
                *(wait.step, execution.id, self.most),
                extra=extra,
            )
        sent = 0
        for person in people:
            try:
                sent += self._send(execution, wait, person, is_reminder=is_reminder)
            except Exception:
                logger.exception(
                    "%s could not be mailed about step %s of execution %s",
                    *(person.get_username(), wait.step, execution.id),
                    extra=extra,
                )
        if not sent:
            logger.warning(
                "Nobody was mailed about step %s of execution %s",
                *(wait.step, execution.id),
                extra=extra,
            )
        return sent

    def _send(self, execution: Execution, wait: Wait, person: Any, *, is_reminder: bool) -> int:
        address = getattr(person, person.get_email_field_name(), None)
        if not address:
            return 0
        # As the site speaks, not as whoever's request this happens in.
        with translation.override(django_settings.LANGUAGE_CODE), timezone.override(None):
            mail = self.message(execution, wait, person, is_reminder=is_reminder)
        mail.to = [address]
        return mail.send()

    def message(
        self, execution: Execution, wait: Wait, person: Any, *, is_reminder: bool = False
    ) -> EmailMultiAlternatives:
        """Return the mail to ``person``, without an address yet."""
        facts = self._facts(execution, wait, person, is_reminder=is_reminder)
        subject = " ".join(render_to_string(f"{_TEMPLATES}/mail_subject.txt", facts).split())
        if len(subject) > MOST_SUBJECT:
            subject = f"{subject[:MOST_SUBJECT]}…"
        mail = EmailMultiAlternatives(
            subject=subject,
            body=render_to_string(f"{_TEMPLATES}/mail.txt", facts),
            from_email=self.from_email,
            headers={"Auto-Submitted": "auto-generated"},
        )
        mail.attach_alternative(render_to_string(f"{_TEMPLATES}/mail.html", facts), "text/html")
        return mail

    def _facts(
        self, execution: Execution, wait: Wait, person: Any, *, is_reminder: bool
    ) -> dict[str, Any]:
        max_age = timedelta(seconds=settings.LINK_MAX_AGE)
        url = partial(decision_url, wait, person, base_url=self.base_url, max_age=max_age)
        # The page of a link has no fields for what a response_schema asks for.
        is_simple = response_schema(wait.data) is None
        return {
            "person": person,
            "name": name_of(person),
            "workflow": workflow_name(execution),
            "execution": execution,
            "wait": wait,
            "approve_url": url(approved=True) if is_simple else None,
            "answer_url": None if is_simple else self._answer_url(wait, person),
            "reject_url": url(approved=False),
            "expires_at": clock.now() + max_age,
            "is_reminder": is_reminder,
        }

    def _answer_url(self, wait: Wait, person: Any) -> str | None:
        """Return where to answer in the admin; None for who is not let in there."""
        if not getattr(person, "is_staff", False):
            return None
        try:
            path = reverse("admin:django_workflows_answer", args=[wait.execution_id, wait.id])
        except NoReverseMatch:  # a project without the admin
            return None
        return f"{self.base_url.rstrip('/')}{path}"


_TEMPLATES = "django_workflows/links"


def _on_commit(work: Callable[[], None], event: Event) -> None:
    def guarded() -> None:
        try:
            work()
        except Exception:
            logger.exception(
                "The approvers of execution %s could not be mailed",
                event.execution_id,
                extra={"execution_id": event.execution_id, "workflow_id": event.workflow_id},
            )

    wiring.store().on_commit(guarded)


def _is_news(wait: Wait) -> bool:
    """
    Say whether nobody was mailed about ``wait`` yet.

    An execution halts again beside an approval that still stands open in another branch. Where the
    cache cannot tell, a mail too many is better than none.
    """
    try:
        return cache.add(f"{_UID}:{wait.id}", 1, timeout=settings.LINK_MAX_AGE)
    except Exception:
        logger.exception("The cache cannot say whether %s was mailed about", wait.id)
        return True
