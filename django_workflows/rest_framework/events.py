"""Events: what the world tells the executions that wait for it."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows import api
from django_workflows.core import codec
from django_workflows.permissions import authorize
from django_workflows.rest_framework.base import REPEATABLE, WorkflowsView, responses
from django_workflows.rest_framework.errors import Conflict
from django_workflows.rest_framework.requests import WorkflowEventRequestSerializer
from django_workflows.rest_framework.serializers import WorkflowEventSerializer


class EventViewSet(WorkflowsView):
    """Events, to be sent by who may resume; what became of one is in the execution's history."""

    serializer_class = WorkflowEventSerializer

    repeatable = frozenset({"create"})

    @extend_schema(
        request=WorkflowEventRequestSerializer,
        parameters=[REPEATABLE],
        responses=responses(
            {
                201: WorkflowEventSerializer,
                200: OpenApiResponse(WorkflowEventSerializer, _("Sent before, with the same key.")),
            },
            400,
            409,
        ),
    )
    def create(self, request: Request) -> Response:
        """Send an event to the oldest wait for its name and key, or keep it until there is one."""
        authorize(request.user, "resume")
        fields = self.taken(WorkflowEventRequestSerializer)
        key = self.idempotency_key
        # Of this user alone, as that of a start.
        once = None if key is None else f"rest:{request.user.pk}:{key}"
        event, is_new = api.sent_event(
            fields["name"], fields.get("key", ""), fields.get("data"), request.user, once
        )
        if codec.dumps(event.data) != codec.dumps(fields.get("data")):
            message = _("This Idempotency-Key has sent event {id} with other data.")
            raise Conflict(message.format(id=event.id), "key_taken", event=event.id)
        code = status.HTTP_201_CREATED if is_new else status.HTTP_200_OK
        return Response(self.get_serializer(event).data, code)
