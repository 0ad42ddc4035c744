"""What can be done to an execution; each is a public function behind a permission."""

from __future__ import annotations

from collections.abc import Callable

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from django_workflows import api
from django_workflows.core.execution import Execution
from django_workflows.models import WorkflowExecution
from django_workflows.permissions import authorize
from django_workflows.rest_framework import requests, serializers
from django_workflows.rest_framework.base import (
    ID,
    REPEATABLE,
    WorkflowsView,
    database,
    find,
    not_found,
    responses,
    visible,
)
from django_workflows.rest_framework.deciding import Decision, Said, answer, former

_CHANGED = responses({200: serializers.WorkflowExecutionSerializer}, 400, 404, 409)
_ANSWERED = responses({200: serializers.WorkflowDecisionSerializer}, 400, 404, 409)


class VerbsMixin(WorkflowsView):
    """The verbs, as actions below an execution."""

    @extend_schema(
        request=requests.WorkflowResumeSerializer,
        responses=_ANSWERED,
        parameters=[ID, REPEATABLE],
    )
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, id: str) -> Response:
        """Answer a halt, or name by `step` the sleep, pause or event to end. Not for approvals."""
        return self._answered(id, "resume", approved=None)

    @extend_schema(
        request=requests.WorkflowResumeSerializer,
        responses=_ANSWERED,
        parameters=[ID, REPEATABLE],
    )
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, id: str) -> Response:
        """Approve."""
        return self._answered(id, "decide", approved=True)

    @extend_schema(
        request=requests.WorkflowResumeSerializer,
        responses=_ANSWERED,
        parameters=[ID, REPEATABLE],
    )
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, id: str) -> Response:
        """Reject."""
        return self._answered(id, "decide", approved=False)

    @extend_schema(request=requests.WorkflowRetrySerializer, responses=_CHANGED, parameters=[ID])
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, id: str) -> Response:
        """Drive a failed or cancelled execution again, from the step that failed or another."""
        return self._changed(id, "retry", api.retry, requests.WorkflowRetrySerializer)

    @extend_schema(request=requests.WorkflowSkipSerializer, responses=_CHANGED, parameters=[ID])
    @action(detail=True, methods=["post"])
    def skip(self, request: Request, id: str) -> Response:
        """Take the step at which an execution failed or halts as done, and go on after it."""
        return self._changed(id, "skip", api.skip, requests.WorkflowSkipSerializer)

    @extend_schema(request=requests.WorkflowCancelSerializer, responses=_CHANGED, parameters=[ID])
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, id: str) -> Response:
        """End an execution that is under way, and its children."""
        return self._changed(id, "cancel", api.cancel, requests.WorkflowCancelSerializer)

    @extend_schema(
        request=requests.WorkflowForkSerializer,
        responses=responses({201: serializers.WorkflowExecutionSerializer}, 400, 404, 409),
        parameters=[ID],
    )
    @action(detail=True, methods=["post"])
    def fork(self, request: Request, id: str) -> Response:
        """Start a new execution at a step of this one, with the variables as they were there."""
        return self._changed(id, "fork", api.fork, requests.WorkflowForkSerializer, is_new=True)

    def shown(self, execution_id: str, *, is_new: bool = False) -> Response:
        """Return an execution as it stands now, which may be further than the verb left it."""
        # Not asked again if it may be viewed: what somebody has just done, they are told of.
        row = WorkflowExecution.objects.using(database()).get(pk=execution_id)
        serializer = serializers.WorkflowExecutionSerializer
        data = serializer(row, context=self.get_serializer_context()).data
        if not is_new:
            return Response(data)
        headers = {"Location": self.url_of("executions-detail", id=execution_id)}
        return Response(data, status.HTTP_201_CREATED, headers=headers)

    def _changed(
        self,
        execution_id: str,
        verb: str,
        call: Callable[..., Execution],
        serializer: type[requests.StrictSerializer],
        *,
        is_new: bool = False,
    ) -> Response:
        row = visible(self.request.user, execution_id)
        authorize(self.request.user, verb, row.to_core())
        fields = self.taken(serializer)
        return self.shown(call(row.id, **fields, by=self.request.user).id, is_new=is_new)

    def _answered(self, execution_id: str, verb: str, *, approved: bool | None) -> Response:
        row = find(self.request.user, execution_id)
        said = Said(
            user=self.request.user,
            approved=approved,
            is_repeatable=self.idempotency_key is not None,
            **self.taken(requests.WorkflowResumeSerializer),
        )
        decision: Decision | None
        if row is not None:
            decision = answer(row.to_core(), said, action=verb)
        else:
            decision = former(execution_id, said)
        return Response(serializers.WorkflowDecisionSerializer(decision or not_found()).data)
