"""
What a decision link says, and the signature that keeps it from being changed.

The signature is Django's, with SECRET_KEY and a salt of its own, so nothing else that the project
signs can be used as a link, and old links go on through a change of keys while the old one is
among SECRET_KEY_FALLBACKS.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Self

from django.core import signing

from django_workflows.core import clock
from django_workflows.core.waits import Wait

SALT = "django_workflows.links.decision"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One decision that one person may take on one wait."""

    execution_id: str
    wait_id: str  # a step that asks again, as in a loop or after a retry, has another wait
    step: str
    person: str  # primary key: a username may be given to somebody else later
    approved: bool
    expires: int  # seconds since 1970

    @classmethod
    def of(cls, wait: Wait, person: Any, *, approved: bool, max_age: timedelta) -> Self:
        """Return the link for ``person``, a saved user, that can be used for ``max_age``."""
        return cls(
            execution_id=wait.execution_id,
            wait_id=wait.id,
            step=wait.step,
            person=str(person.pk),
            approved=approved,
            expires=int((clock.now() + max_age).timestamp()),
        )

    @property
    def expires_at(self) -> datetime:
        """Return the moment from which on it cannot be used."""
        return datetime.fromtimestamp(self.expires, tz=clock.now().tzinfo)

    def token(self) -> str:
        """Return the link as signed text, fit for a URL."""
        said = list(astuple(self))  # without the fields' names: addresses have to be short
        return signing.Signer(salt=SALT).sign_object(said, compress=True)

    @classmethod
    def read(cls, token: str) -> Self:
        """
        Return what ``token`` says.

        Raise signing.SignatureExpired where it is too old, and its base signing.BadSignature where
        we did not sign it as it stands, or as a version did that says something else in it.
        """
        said = signing.Signer(salt=SALT).unsign_object(token)
        try:
            link = cls(**dict(zip((field.name for field in fields(cls)), said, strict=True)))
        except (TypeError, ValueError) as error:
            raise signing.BadSignature(
                "Another version has signed it: it says more, or less."
            ) from error
        if clock.now() >= link.expires_at:
            raise signing.SignatureExpired(f"It could be used until {link.expires_at}.")
        return link
