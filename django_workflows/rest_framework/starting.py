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
    Conflict where ``key`` has started one with another input. The delay is not compared: it is not
    kept, and what was started goes on as it was asked for first.
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
    made = checked(definition.input, definition.id, given, settings.MAX_PAYLOAD_BYTES)
    names = definition.input.names()
    # The field that a later version has no more may have been filled in by the earlier one.
    first = {
        name: value
        for name, value in _first_input(execution).items()
        if names is None or name in names
    }
    if not _is_same(given or {}, made, first):
        raise Conflict(
            _("This Idempotency-Key has started execution {id} with another input.").format(
                id=execution.id
            ),
            "key_taken",
            execution=execution.id,
        )


def _is_same(sent: Any, made: Any, first: Any) -> bool:
    """
    Say whether ``made``, which ``sent`` became, is what was made of it at ``first``.

    What defaults fill in is not compared: they may be others each time, as a new id or the moment
    is, or after a deploy.
    """
    if all(isinstance(one, Mapping) for one in (sent, made, first)) and sent.keys() <= made.keys():
        is_known = sent.keys() <= first.keys() <= made.keys()
        return is_known and all(_is_same(sent[name], made[name], first[name]) for name in sent)
    if all(isinstance(one, (list, tuple)) for one in (sent, made, first)):
        is_alike = type(made) is type(first) and len(sent) == len(made) == len(first)
        return is_alike and all(map(_is_same, sent, made, first))
    return codec.dumps(made) == codec.dumps(first)


def _first_input(execution: Execution) -> Mapping[str, Any]:
    """Return what it was started with: a retry may have replaced it."""
    for entry in wiring.store().entries(execution.id):
        told = entry.output if isinstance(entry.output, Mapping) else {}
        if entry.action == EntryAction.RETRIED and "input_before" in told:
            before: Mapping[str, Any] = told["input_before"]
            return before
    return execution.input
