"""Workflows: which there are, how they go, and what they take."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.workflow import registry
from django_workflows.models import WorkflowVersion
from django_workflows.permissions import may
from django_workflows.rest_framework import serializers
from django_workflows.rest_framework.base import WorkflowsView, database, not_found, responses


class WorkflowViewSet(WorkflowsView):
    """The registered workflows that the user may start, or view executions of."""

    serializer_class = serializers.WorkflowSummarySerializer
    # An id is whatever its author wrote.
    lookup_value_regex = ".+"

    @extend_schema(
        responses=responses({200: serializers.WorkflowSummarySerializer(many=True)}),
    )
    def list(self, request: Request) -> Response:
        """List the workflows, by id."""
        offered = [
            _summary(request.user, one)
            for one in registry.values()
            if _is_offered(request.user, one)
        ]
        return Response(self.get_serializer(offered, many=True).data)

    @extend_schema(
        responses=responses({200: serializers.WorkflowSerializer}, 404),
        parameters=[
            OpenApiParameter("version", str, description=_("Whose graph: one of `versions`."))
        ],
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Show a workflow with its graph, and what it takes."""
        definition = next((one for one in registry.values() if one.id == id), None)
        if definition is None or not _is_offered(request.user, definition):
            not_found()
        version = request.query_params.get("version")
        graphs = WorkflowVersion.objects.using(database()).filter(workflow_id=definition.id)
        shown = {
            **_summary(request.user, definition),
            "versions": list(graphs.order_by("id").values_list("version", flat=True)),
            "input_schema": definition.input.schema(),
            "graph": _graph(definition, graphs, version),
        }
        return Response(serializers.WorkflowSerializer(shown).data)


def _is_offered(user: Any, definition: WorkflowDefinition) -> bool:
    return any(may(user, action, workflow_id=definition.id) for action in ("view", "start"))


def _summary(user: Any, definition: WorkflowDefinition) -> dict[str, Any]:
    return {
        "id": definition.id,
        "name": definition.name,
        "version": definition.version,
        "description": definition.description,
        "may_start": may(user, "start", workflow_id=definition.id),
    }


def _graph(definition: WorkflowDefinition, graphs: Any, version: str | None) -> Any:
    if version in {None, definition.version}:
        return definition.to_dict()
    # Text with NUL is no version's name, and PostgreSQL refuses to compare it.
    kept = graphs.filter(version=version).first() if "\x00" not in (version or "") else None
    return (kept or not_found()).graph
