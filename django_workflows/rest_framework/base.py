"""What every view of the API stands on: who may ask, what it takes, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn

from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from django.db.models import Model
from django.http import Http404
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers, status
from rest_framework.exceptions import APIException
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.reverse import reverse
from rest_framework.throttling import BaseThrottle
from rest_framework.viewsets import GenericViewSet

from django_workflows import wiring
from django_workflows.core.ids import canonical
from django_workflows.exceptions import ConfigurationError
from django_workflows.models import ExecutionQuerySet, WorkflowExecution
from django_workflows.rest_framework.errors import bad_header, translated
from django_workflows.rest_framework.parsing import StrictJSONParser
from django_workflows.rest_framework.throttling import WorkflowsThrottle
from django_workflows.stores.orm import OrmStore

#: The header by which a caller says that two requests are one.
IDEMPOTENCY_KEY = "Idempotency-Key"

#: As long as it can be, and still fit beside whose it is into 200 characters.
MOST_IDEMPOTENCY_KEY = 128

START, DECIDE = "workflows_start", "workflows_decide"

BAD = OpenApiResponse(OpenApiTypes.OBJECT, _("What is wrong with each field."))
FOREIGN = OpenApiResponse(OpenApiTypes.OBJECT, _("There is none, or none that you may view."))
FORBIDDEN = OpenApiResponse(OpenApiTypes.OBJECT, _("You lack the right, or did not log in."))
CONFLICT = OpenApiResponse(
    OpenApiTypes.OBJECT, _("It is not in a state for that; of an answer: who was first, and when.")
)
ANONYMOUS = OpenApiResponse(OpenApiTypes.OBJECT, _("You did not log in."))
THROTTLED = OpenApiResponse(OpenApiTypes.OBJECT, _("Too often; see Retry-After."))
UNAVAILABLE = OpenApiResponse(
    OpenApiTypes.OBJECT, _("The store does not answer; it may have been done. See Retry-After.")
)

#: What any of them may answer.
COMMON: Mapping[int, OpenApiResponse] = {
    401: ANONYMOUS,
    403: FORBIDDEN,
    429: THROTTLED,
    503: UNAVAILABLE,
}

REPEATABLE = OpenApiParameter(
    IDEMPOTENCY_KEY,
    {"type": "string", "minLength": 1, "maxLength": MOST_IDEMPOTENCY_KEY, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description=_("The same again, with the same key: done once, and answered alike."),
)

#: Which execution, or which wait, a view is about.
ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)


def responses(success: Mapping[Any, Any], *others: int) -> dict[Any, Any]:
    """Return what a view may answer: ``success``, the errors of all, and ``others``."""
    known = {400: BAD, 404: FOREIGN, 409: CONFLICT}
    return {**success, **COMMON, **{status: known[status] for status in others}}


class WorkflowsView(GenericViewSet[Any]):
    """Closed by default, JSON in, and every error of the workflows as a reply."""

    permission_classes = (IsAuthenticated,)
    parser_classes = (StrictJSONParser,)
    filter_backends: Any = ()
    pagination_class: Any = None
    lookup_url_kwarg = "id"
    lookup_value_regex = "[^/]+"
    #: Actions to the scope that counts them.
    scopes: ClassVar[Mapping[str, str]] = {}
    #: Actions that can be repeated with an Idempotency-Key.
    repeatable: ClassVar[frozenset[str]] = frozenset()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        _count_body(request)
        super().initial(request, *args, **kwargs)
        if request.method == "POST" and self.action not in self.repeatable:
            self._refuse_key(request)

    def handle_exception(self, exc: Exception) -> Any:
        return super().handle_exception(translated(exc))

    def get_throttles(self) -> list[BaseThrottle]:
        self.workflows_scope = self.scopes.get(self.action or "")
        return [*super().get_throttles(), WorkflowsThrottle()]

    @property
    def idempotency_key(self) -> str | None:
        """Return the caller's key, None without one. Raise ValidationError on one that is none."""
        key: str | None = self.request.headers.get(IDEMPOTENCY_KEY)
        if key is None:
            return None
        is_plain = key.isascii() and key.isprintable() and " " not in key
        if key and is_plain and len(key) <= MOST_IDEMPOTENCY_KEY:
            return key
        message = _("Must be 1 to {most} letters, digits and signs of ASCII, without a blank.")
        raise bad_header(IDEMPOTENCY_KEY, message.format(most=MOST_IDEMPOTENCY_KEY))

    def taken(self, serializer: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """Return the fields of the request's body. Raise ValidationError."""
        body = serializer(data=self.request.data, context=self.get_serializer_context())
        body.is_valid(raise_exception=True)
        fields: dict[str, Any] = body.validated_data
        return fields

    def url_of(self, name: str, **kwargs: Any) -> str:
        """Return the URL of another view of this API, wherever the project has included it."""
        match = self.request.resolver_match
        namespace = match.namespace if match else ""
        return reverse(
            f"{namespace}:{name}" if namespace else name, kwargs=kwargs, request=self.request
        )

    def _refuse_key(self, request: Request) -> None:
        # Who sends one counts on it: to leave it unread might do a thing twice.
        if IDEMPOTENCY_KEY in request.headers:
            raise bad_header(
                IDEMPOTENCY_KEY,
                _("Is kept of starts, answers and events, not here."),
            )


class LengthRequired(APIException):
    """A body comes in chunks, and nobody has counted it."""

    status_code = status.HTTP_411_LENGTH_REQUIRED
    default_detail = _("Send a Content-Length: a body in chunks is not read here.")
    default_code = "length_required"


def _count_body(request: Request) -> None:
    """
    Say how long a body is that came without a length, in chunks or by HTTP/2.

    The framework takes one for no body at all, and so would do a thing without what was said to it.
    Django's handler for ASGI has it all by now. Under WSGI it may not be read at all: then raise
    LengthRequired.
    """
    meta, plain = request.META, request._request  # noqa: SLF001  the framework's way to Django's
    if request.method in {"GET", "HEAD", "OPTIONS"} or meta.get("CONTENT_LENGTH"):
        return
    if isinstance(plain, ASGIRequest):
        meta["CONTENT_LENGTH"] = str(len(plain.body))
    elif "HTTP_TRANSFER_ENCODING" in meta:
        raise LengthRequired


def anew(user: Any) -> Any:
    """
    Return a user as the database has them now: nobody who is logged in where they were deleted.

    One that is in no database, as some ways to log in make them, is returned as it is.
    """
    if not isinstance(user, Model) or user._state.adding:
        return user
    # Not refreshed: an instance keeps the permissions that it was asked for once. By its class,
    # since that of one that was read lazily is another.
    users = user.__class__._default_manager  # noqa: SLF001  Django's public name for it
    return users.filter(pk=user.pk).first() or AnonymousUser()


def executions(user: Any) -> ExecutionQuerySet:
    """Return the rows that ``user`` may view, in the database of the store."""
    rows: ExecutionQuerySet = WorkflowExecution.objects.using(database()).visible_to(user)
    return rows


def find(user: Any, execution_id: str) -> WorkflowExecution | None:
    """Return an execution that ``user`` may view, or None."""
    known = canonical(execution_id)
    return executions(user).filter(pk=known).first() if known else None


def visible(user: Any, execution_id: str) -> WorkflowExecution:
    """Return an execution that ``user`` may view. Raise Http404."""
    return find(user, execution_id) or not_found()


def not_found() -> NoReturn:
    """Raise Http404, the same for what is not there and for what is not shown."""
    raise Http404


def database() -> str:
    """Return the alias of the database that executions are in. Raise ConfigurationError."""
    store = wiring.store()
    if not isinstance(store, OrmStore):
        raise ConfigurationError(
            "The REST API lists rows, which only OrmStore has; WORKFLOWS['STORE'] is a"
            f" {type(store).__name__}."
        )
    return store.using
