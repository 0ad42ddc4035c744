"""Approvals: what waits for the user, and their decision."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows import reports
from django_workflows.core.ids import canonical
from django_workflows.core.waits import WaitKind
from django_workflows.models import WorkflowWait
from django_workflows.rest_framework import serializers
from django_workflows.rest_framework.base import (
    DECIDE,
    ID,
    REPEATABLE,
    WorkflowsView,
    database,
    find,
    not_found,
    responses,
)
from django_workflows.rest_framework.deciding import Decision, Said, answer, former
from django_workflows.rest_framework.filters import refuse_unknown
from django_workflows.rest_framework.pagination import OldestFirst
from django_workflows.rest_framework.requests import WorkflowDecideSerializer


class ApprovalViewSet(WorkflowsView):
    """The open approvals that the user may decide. Everybody may ask; many have none."""

    pagination_class = OldestFirst
    serializer_class = serializers.WorkflowApprovalSerializer
    scopes = {"decide": DECIDE}
    repeatable = frozenset({"decide"})

    def get_queryset(self) -> Any:
        """Return what waits for the user, without the large columns of the executions."""
        heavy = [f"execution__{name}" for name in serializers.HEAVY]
        return reports.inbox(self.request.user).using(database()).defer(*heavy)

    @extend_schema(
        responses=responses({200: serializers.WorkflowApprovalSerializer(many=True)}, 400)
    )
    def list(self, request: Request) -> Response:
        """List what waits for the user's decision, the oldest first."""
        refuse_unknown(request, self)
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        responses=responses({200: serializers.WorkflowApprovalSerializer}, 404), parameters=[ID]
    )
    def retrieve(self, request: Request, id: str) -> Response:
        """Show an approval that waits for the user."""
        row = self.get_queryset().filter(pk=canonical(id) or not_found()).first()
        return Response(self.get_serializer(row or not_found()).data)

    @extend_schema(
        request=WorkflowDecideSerializer,
        parameters=[ID, REPEATABLE],
        responses=responses({200: serializers.WorkflowDecisionSerializer}, 400, 404, 409),
    )
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, id: str) -> Response:
        """Approve or reject."""
        waits = WorkflowWait.objects.using(database()).filter(kind=WaitKind.APPROVAL)
        wait = waits.filter(pk=canonical(id) or not_found()).first() or not_found()
        said = Said(
            user=request.user,
            step=wait.id,
            is_repeatable=self.idempotency_key is not None,
            **self.taken(WorkflowDecideSerializer),
        )
        row = find(request.user, wait.execution_id)
        decision: Decision | None
        if row is not None:
            decision = answer(row.to_core(), said, action="decide")
        else:
            decision = former(wait.execution_id, said)
        return Response(serializers.WorkflowDecisionSerializer(decision or not_found()).data)
