"""Errors of the workflows as those of the REST framework: a status, and the facts as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.utils.translation import gettext_lazy as _
from rest_framework import status
from rest_framework.exceptions import (
    APIException,
    NotFound,
    ParseError,
    PermissionDenied,
    ValidationError,
)
from rest_framework.fields import DateTimeField

from django_workflows.exceptions import (
    AlreadyResumed,
    EventTaken,
    ExecutionNotFound,
    InputError,
    InvalidTransition,
    NotAllowed,
    NotResumable,
    PayloadError,
    ResponseError,
    StaleExecution,
    StoreUnavailable,
    UnknownWorkflow,
    message_of,
)

#: Seconds after which it is worth asking again for what a store did not answer.
RETRY_AFTER = 5


class Conflict(APIException):
    """What is asked for does not fit what the execution is at; ``facts`` say what that is."""

    status_code = status.HTTP_409_CONFLICT
    default_detail = _("This does not fit the state that the execution is in.")
    default_code = "conflict"

    def __init__(self, message: str, code: str, **facts: Any) -> None:
        super().__init__(message, code)
        # A dict is what the reply's body becomes; the framework would make texts of its values.
        self.detail: Any = {"detail": message, "code": code, **facts}


class Unavailable(APIException):
    """
    The store does not answer; ``wait`` becomes the header Retry-After.

    That may be after it has written: whoever asked cannot know, and is not told that it has not.
    """

    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_detail = _(
        "The workflows are not available at the moment. What was asked for may have been done;"
        " with the same Idempotency-Key it is safe to ask again."
    )
    default_code = "unavailable"
    wait = RETRY_AFTER


def translated(error: Exception) -> Exception:
    """Return what to raise in place of ``error``: itself where it is nothing of the workflows'."""
    for kinds, translate in _TRANSLATIONS:
        if isinstance(error, kinds):
            made: Exception = translate(error)
            made.__cause__ = error
            return made
    return error


def _input(error: InputError) -> Exception:
    return ValidationError({"input": {name: [text] for name, text in error.errors.items()}})


def _response(error: ResponseError) -> Exception:
    if [*error.errors] == [""]:
        return ValidationError({"response": [error.errors[""]]})
    # A place in the response is a key, so what is wrong with the whole stands under one as well.
    told = {at or "non_field_errors": [text] for at, text in error.errors.items()}
    return ValidationError({"response": told})


def _payload(error: PayloadError) -> Exception:
    # "output.lines[3]" is in the field "output".
    field = re.split(r"[.\[]", error.path, maxsplit=1)[0] or "non_field_errors"
    return ValidationError({field: [message_of(error)]})


def _already(error: AlreadyResumed) -> Exception:
    facts = {"step": error.step, "by": error.by, "at": _moment(error.at)}
    return Conflict(message_of(error), "already_resumed", **facts)


def _moment(at: datetime | None) -> Any:
    """Return a time as every other field of the API has it."""
    return None if at is None else DateTimeField().to_representation(at)


def _not_resumable(error: NotResumable) -> Exception:
    return Conflict(message_of(error), "not_resumable", open_steps=error.open_steps)


def _transition(error: InvalidTransition) -> Exception:
    return Conflict(message_of(error), "invalid_transition", status=str(error.status))


def _unavailable(_: Exception) -> Exception:
    # Which host did not answer on which port is no caller's business.
    return Unavailable()


#: From the particular to the general.
_TRANSLATIONS: list[tuple[type[Exception] | tuple[type[Exception], ...], Any]] = [
    (AlreadyResumed, _already),
    (NotResumable, _not_resumable),
    (InvalidTransition, _transition),
    ((StaleExecution, EventTaken), lambda error: Conflict(message_of(error), "conflict")),
    # Of an execution: its workflow was taken out of the code.
    (UnknownWorkflow, lambda error: Conflict(message_of(error), "unknown_workflow")),
    (InputError, _input),
    (ResponseError, _response),
    (PayloadError, _payload),
    (ExecutionNotFound, lambda error: NotFound()),
    (NotAllowed, lambda error: PermissionDenied(message_of(error))),
    (RequestDataTooBig, lambda error: ParseError(_("The body is too large."))),
    ((StoreUnavailable, OperationalError, InterfaceError), _unavailable),
]


def bad_header(name: str, message: Any) -> ValidationError:
    """Return the error of a header: a field error under its name."""
    fields: Mapping[str, Any] = {name: [message]}
    return ValidationError(fields)
