"""Start an execution, once for each Idempotency-Key of a user."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError

from django_workflows import api, wiring
from django_workflows.conf import settings
from django_workflows.core import codec
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import EntryAction, Execution
from django_workflows.core.ids import new_id
from django_workflows.core.inputs import checked
from django_workflows.core.workflow import registry
from django_workflows.exceptions import UnknownWorkflow
from django_workflows.permissions import authorize
from django_workflows.rest_framework.errors import Conflict


def started(user: Any, fields: Mapping[str, Any], key: str | None) -> tuple[Execution, bool]:
    """
    Start what ``fields`` say; return the execution, and whether it is a new one.

    Raise NotAllowed, InputError, PayloadError, ValidationError where there is no such workflow,
    Conflict where ``key`` has started one with another input.
    """
    authorize(user, "start", workflow_id=fields["workflow"])
    definition = _definition(fields["workflow"])
    new = new_id()
    execution = api.start(
        definition,
        fields.get("input"),
        execution_id=new,
        # Of this user alone: others may have the same key, and must not see what it started.
        idempotency_key=None if key is None else f"rest:{user.pk}:{key}",
        by=user,
        delay=fields.get("delay"),
    )
    if execution.id != new:
        _refuse_other_input(definition, execution, fields.get("input"))
    return execution, execution.id == new


def _definition(workflow_id: str) -> WorkflowDefinition:
    try:
        return registry.whole(workflow_id)
    except UnknownWorkflow as error:
        message = _("There is no workflow {name}; workflows/ lists those there are.")
        named = message.format(name=repr(workflow_id))
        raise ValidationError({"workflow": [named]}) from error


def _refuse_other_input(
    definition: WorkflowDefinition, execution: Execution, given: Mapping[str, Any] | None
) -> None:
    cleaned = checked(definition.input, definition.id, given, settings.MAX_PAYLOAD_BYTES)
    if codec.dumps(cleaned) != codec.dumps(dict(_first_input(execution))):
        raise Conflict(
            _("This Idempotency-Key has started execution {id} with another input.").format(
                id=execution.id
            ),
            "key_taken",
            execution=execution.id,
        )


def _first_input(execution: Execution) -> Mapping[str, Any]:
    """Return what it was started with: a retry may have replaced it."""
    for entry in wiring.store().entries(execution.id):
        told = entry.output if isinstance(entry.output, Mapping) else {}
        if entry.action == EntryAction.RETRIED and "input_before" in told:
            before: Mapping[str, Any] = told["input_before"]
            return before
    return execution.input
