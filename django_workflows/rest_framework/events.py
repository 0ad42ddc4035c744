"""Events: what the world tells the executions that wait for it."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows import api
from django_workflows.permissions import authorize
from django_workflows.rest_framework.base import WorkflowsView, responses
from django_workflows.rest_framework.requests import WorkflowEventRequestSerializer
from django_workflows.rest_framework.serializers import WorkflowEventSerializer


class EventViewSet(WorkflowsView):
    """Events, to be sent by who may resume; what became of one is in the execution's history."""

    serializer_class = WorkflowEventSerializer

    @extend_schema(
        request=WorkflowEventRequestSerializer,
        responses=responses({201: WorkflowEventSerializer}, 400),
    )
    def create(self, request: Request) -> Response:
        """Send an event to the oldest wait for its name and key, or keep it until there is one."""
        authorize(request.user, "resume")
        event = api.send_event(**self.taken(WorkflowEventRequestSerializer), by=request.user)
        return Response(self.get_serializer(event).data, status.HTTP_201_CREATED)
