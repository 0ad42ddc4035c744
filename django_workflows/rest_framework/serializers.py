"""What the API shows: executions, their history, what they wait for, and workflows."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from django_workflows import api, wiring
from django_workflows.core.decisions import open_waits
from django_workflows.core.execution import EntryAction, ExecutionStatus, revision_of
from django_workflows.core.schemas import RESPONSE_SCHEMA
from django_workflows.core.waits import Cause, WaitKind
from django_workflows.permissions import ACTIONS, may
from django_workflows.rest_framework.fields import (
    EnumField,
    ResponseSchemaField,
    TypedJSONField,
    TypedMappingField,
)

#: Columns that a list does not read: each may be as large as a step's output.
HEAVY = ("input", "ctx", "frames", "result", "halt_data", "compensations")


class WorkflowExecutionSummarySerializer(serializers.Serializer[Any]):
    """An execution as it stands in a list."""

    id = serializers.UUIDField()
    workflow = serializers.CharField(source="workflow_id")
    version = serializers.CharField(source="workflow_version")
    status = EnumField(ExecutionStatus)
    current_step = serializers.CharField(allow_null=True)
    attempt = serializers.IntegerField(help_text=_("Which attempt at the current step this is."))
    revision = serializers.SerializerMethodField(
        help_text=_("Another whenever it goes on or is stepped in; see `expected_revision`.")
    )
    error = serializers.CharField(allow_null=True)
    subject = serializers.CharField(allow_null=True, help_text=_("As app.model:pk."))
    started_by = serializers.CharField(allow_null=True)
    parent = serializers.UUIDField(  # type: ignore[assignment]  # the metaclass takes it off
        source="parent_id", allow_null=True
    )
    parent_step = serializers.CharField(allow_null=True)
    idempotency_key = serializers.CharField(allow_null=True)
    queue = serializers.CharField(allow_null=True)
    priority = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    deadline_at = serializers.DateTimeField(allow_null=True)

    def get_revision(self, row: Any) -> str:
        """Return Execution.revision."""
        return revision_of(row.fence, row.status)


class WorkflowAnswerSerializer(serializers.Serializer[Any]):
    """What somebody or something said to a wait."""

    approved = serializers.BooleanField(allow_null=True)
    response = TypedJSONField(allow_null=True)
    by = serializers.CharField(allow_null=True)
    at = serializers.DateTimeField()
    cause = EnumField(Cause)


class WorkflowWaitSerializer(serializers.Serializer[Any]):
    """An open reason why an execution is halted."""

    id = serializers.UUIDField()
    step = serializers.CharField(help_text=_("Path of the step that waits."))
    kind = EnumField(WaitKind)
    prompt = serializers.CharField(allow_null=True)
    data = TypedMappingField()  # type: ignore[assignment]  # the metaclass takes it off
    response_schema = ResponseSchemaField(
        source="data",
        allow_null=True,
        help_text=_("JSON Schema that the response has to fit; a rejection need not."),
    )
    approvers = serializers.ListField(child=serializers.CharField())
    required = serializers.IntegerField(  # type: ignore[assignment]  # as data
        help_text=_("How many approvals it takes.")
    )
    answers = WorkflowAnswerSerializer(many=True, help_text=_("Those given so far."))
    key = serializers.CharField(allow_null=True)
    opened_at = serializers.DateTimeField()
    wake_at = serializers.DateTimeField(allow_null=True)

    def to_representation(self, instance: Any) -> Any:
        """Return the wait, without the schema in its data where that has a field of its own."""
        shown = super().to_representation(instance)
        if shown["response_schema"] is not None:
            shown["data"].pop(RESPONSE_SCHEMA, None)
        return shown


class WorkflowExecutionSerializer(WorkflowExecutionSummarySerializer):
    """An execution with its data, and what the user may do to it."""

    why = serializers.SerializerMethodField(help_text=_("Why it is where it is, in one sentence."))
    input = TypedMappingField()
    ctx = TypedMappingField(help_text=_("Its variables."))
    result = TypedJSONField(allow_null=True)
    waits = serializers.SerializerMethodField(help_text=_("The open ones, the oldest first."))
    may = serializers.SerializerMethodField(help_text=_("What the user has the right to do."))

    def get_why(self, row: Any) -> str:
        """Return what explain() says."""
        return api.explain(row.id)

    @extend_schema_field(WorkflowWaitSerializer(many=True))
    def get_waits(self, row: Any) -> Any:
        """Return the open waits."""
        waits = open_waits(wiring.store().waits(row.id))
        return WorkflowWaitSerializer(waits, many=True).data

    def get_may(self, row: Any) -> list[str]:
        """Return the actions that permissions.may() allows, whether it stands so or not."""
        user = self.context["request"].user
        return [action for action in ACTIONS if may(user, action, row)]


class WorkflowEntrySerializer(serializers.Serializer[Any]):
    """A line of an execution's history."""

    id = serializers.IntegerField(help_text=_("Grows with each; Last-Event-ID of the events."))
    step = serializers.CharField(source="step_id", help_text=_("Path of the step."))
    step_type = serializers.CharField()
    action = EnumField(EntryAction)
    attempt = serializers.IntegerField()
    duration_ms = serializers.IntegerField(allow_null=True)
    input = TypedJSONField(allow_null=True)
    output = TypedJSONField(allow_null=True)
    sets = TypedMappingField(allow_null=True, help_text=_("Variables set besides the output."))
    error = serializers.CharField(allow_null=True)
    traceback = serializers.CharField(allow_null=True)
    by = serializers.CharField(allow_null=True)
    timestamp = serializers.DateTimeField()


class WorkflowApprovalSerializer(WorkflowWaitSerializer):
    """An open approval that the user may decide, and what it is about."""

    execution = WorkflowExecutionSummarySerializer()


class WorkflowDecisionSerializer(serializers.Serializer[Any]):
    """An answer, as it was recorded; the same for who repeats it."""

    execution = serializers.UUIDField()
    wait = serializers.UUIDField()
    step = serializers.CharField()
    approved = serializers.BooleanField(allow_null=True)
    response = TypedJSONField(allow_null=True)
    by = serializers.CharField(allow_null=True)
    at = serializers.DateTimeField()
    settles = serializers.BooleanField(help_text=_("No: it takes more approvals."))


class WorkflowSummarySerializer(serializers.Serializer[Any]):
    """A workflow as it stands in the list."""

    id = serializers.CharField()
    name = serializers.CharField()
    version = serializers.CharField(help_text=_("The one that is started now."))
    description = serializers.CharField()
    may_start = serializers.BooleanField(help_text=_("Whether the user has the right to."))


class WorkflowSerializer(WorkflowSummarySerializer):
    """A workflow with its graph, and what it takes."""

    versions = serializers.ListField(
        child=serializers.CharField(), help_text=_("Those that have run, and whose graph is kept.")
    )
    input_schema = serializers.DictField(help_text=_("JSON Schema of the input."))
    graph = serializers.DictField(help_text=_("Nodes, edges and exits."))


class WorkflowEventSerializer(serializers.Serializer[Any]):
    """An event as it was sent; whoever waits for it gets it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    key = serializers.CharField(allow_blank=True)
    data = TypedJSONField(allow_null=True)  # type: ignore[assignment]  # the metaclass takes it off
    by = serializers.CharField(allow_null=True)
    sent_at = serializers.DateTimeField()
