"""An execution's first state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_workflows.core import clock
from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.execution import Execution
from django_workflows.core.ids import canonical, new_id
from django_workflows.core.inputs import checked
from django_workflows.core.store import Store
from django_workflows.exceptions import ConfigurationError, InputError


def new_execution(
    definition: WorkflowDefinition,
    input: Mapping[str, Any] | None,
    execution_id: str | None,
    *,
    most_bytes: int,
    **fields: Any,
) -> Execution:
    """
    Return a pending execution of ``definition``, with ``fields``, not written yet.

    Raise InputError on an input that does not fit, or is more than ``most_bytes`` of JSON.
    """
    cleaned = checked(definition.input, definition.id, input, most_bytes)
    if execution_id is not None and canonical(execution_id) is None:
        raise InputError(
            definition.id,
            {"execution_id": f"{execution_id!r} is no UUID; give your own as idempotency_key="},
        )
    now = clock.now()
    deadline = now + definition.timeout if definition.timeout is not None else None
    return Execution(
        **{
            "id": canonical(execution_id) if execution_id else new_id(),
            "workflow_id": definition.id,
            "workflow_version": definition.version,
            "input": cleaned,
            "created_at": now,
            "updated_at": now,
            "deadline_at": deadline,
            "current_step": definition.graph.first,
            **fields,
        }
    )


def refuse_atomic(definition: WorkflowDefinition, store: Store) -> None:
    """Raise ConfigurationError where ``definition`` has atomic steps, which ``store`` lacks."""
    atomic = [path for path, step, _ in definition.graph.walk() if step.atomic]
    if atomic:
        raise ConfigurationError(
            f"{type(store).__name__} cannot commit a step's own writes with its"
            f" checkpoint, which {', '.join(atomic)} of {definition.id!r} asks for"
            " (atomic)."
        )
