"""Executions: list, start, look at, follow, and step in."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows.models import ExecutionQuerySet, WorkflowEntry
from django_workflows.rest_framework import serializers, streaming
from django_workflows.rest_framework.base import (
    DECIDE,
    ID,
    REPEATABLE,
    START,
    anew,
    database,
    executions,
    responses,
    visible,
)
from django_workflows.rest_framework.filters import ExecutionFilter, StrictFilters, refuse_unknown
from django_workflows.rest_framework.pagination import InOrder, NewestFirst
from django_workflows.rest_framework.requests import WorkflowStartSerializer
from django_workflows.rest_framework.starting import started
from django_workflows.rest_framework.verbs import VerbsMixin

_HISTORY = OpenApiResponse(
    streaming.EVENT_SCHEMA,
    _("The stream; this is one of its events."),
)
_EVENT_ID = {"type": "string", "pattern": r"^\d{1,18}(-end)?$"}


class ExecutionViewSet(VerbsMixin):
    """Executions that the user may view; the list of who may view none is empty."""

    pagination_class = NewestFirst
    filter_backends = (StrictFilters,)
    serializer_class = serializers.WorkflowExecutionSummarySerializer
    scopes = {
        "create": START,
        "fork": START,
        **dict.fromkeys(("resume", "approve", "reject"), DECIDE),
    }
    repeatable = frozenset({"create", "resume", "approve", "reject"})
    #: How long `events` keeps a connection; a subclass may have its own.
    pace = streaming.Pace()

    def get_queryset(self) -> Any:
        """Return the rows that the user may view, without their large columns."""
        return executions(self.request.user).defer(*serializers.HEAVY)

    @property
    def filterset_class(self) -> Any:
        """Only the list is filtered by these."""
        return ExecutionFilter if self.action == "list" else None

    @extend_schema(
        responses=responses({200: serializers.WorkflowExecutionSummarySerializer(many=True)}, 400)
    )
    def list(self, request: Request) -> Response:
        """List executions, the newest first."""
        rows = self.filter_queryset(self.get_queryset())
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        request=WorkflowStartSerializer,
        parameters=[REPEATABLE],
        responses=responses(
            {
                201: serializers.WorkflowExecutionSerializer,
                200: OpenApiResponse(
                    serializers.WorkflowExecutionSerializer, _("Started before, with the same key.")
                ),
            },
            400,
            409,
        ),
    )
    def create(self, request: Request) -> Response:
        """Start an execution."""
        fields = self.taken(WorkflowStartSerializer)
        execution, is_new = started(request.user, fields, self.idempotency_key)
        return self.shown(execution.id, is_new=is_new)

    @extend_schema(
        responses=responses({200: serializers.WorkflowExecutionSerializer}, 404), parameters=[ID]
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Show an execution with its data, what it waits for, and why it is where it is."""
        row = visible(request.user, id)
        serializer = serializers.WorkflowExecutionSerializer
        return Response(serializer(row, context=self.get_serializer_context()).data)

    @extend_schema(
        responses=responses({200: serializers.WorkflowEntrySerializer(many=True)}, 400, 404),
        parameters=[ID],
    )
    @action(
        detail=True,
        filter_backends=(),
        pagination_class=InOrder,
        serializer_class=serializers.WorkflowEntrySerializer,
    )
    def entries(self, request: Request, id: str) -> Response:
        """List the history of an execution, in the order in which it was written."""
        row = visible(request.user, id)
        refuse_unknown(request, self)
        page = self.paginate_queryset(WorkflowEntry.objects.using(database()).filter(execution=row))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        responses=responses(
            {
                (200, streaming.CONTENT_TYPE): _HISTORY,
                204: OpenApiResponse(description=_("You have seen the end: do not come again.")),
            },
            400,
            404,
        ),
        parameters=[
            ID,
            OpenApiParameter(
                streaming.LAST_EVENT_ID,
                _EVENT_ID,
                OpenApiParameter.HEADER,
                description=_("Go on after this event."),
            ),
            OpenApiParameter(
                streaming.LAST_EVENT_PARAMETER,
                _EVENT_ID,
                OpenApiParameter.QUERY,
                description=_("The same, for who can set no header."),
            ),
        ],
    )
    @action(detail=True, filter_backends=(), pagination_class=None)
    def events(self, request: Request, id: str) -> Any:
        """
        Follow an execution live, as server-sent events.

        A connection ends with the execution, and after a while: come again with Last-Event-ID.
        """
        known = visible(request.user, id).id

        def rows() -> ExecutionQuerySet:
            # The user may lose the right, or be deleted, while the connection lasts.
            return executions(anew(request.user)).filter(pk=known)

        return streaming.stream(request, rows, self.pace)

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:  # noqa: FBT001, FBT002  the base's signature
        if self.action == "events":
            # Whoever follows accepts text/event-stream alone; an error is JSON all the same.
            return JSONRenderer(), JSONRenderer.media_type
        return super().perform_content_negotiation(request, force)
