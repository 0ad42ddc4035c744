"""Which paths into an output its JSON Schema rules out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.expressions import ROOTS, Reference
from django_workflows.core.steps.base import Step
from django_workflows.core.steps.call import Call

#: Keywords with which a schema may allow more than its own properties say.
_OPEN = frozenset(
    {"$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "prefixItems"}
    | {"additionalProperties", "patternProperties", "unevaluatedProperties"}
)
_SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})


def ruled_out(reference: Reference, definition: WorkflowDefinition) -> str | None:
    """
    Return why the output that ``reference`` goes into cannot have its path, or None.

    A variable that several steps set is ruled out where each of them has a schema that does so.
    """
    path = reference.path[1:] if reference.root == "ctx" else reference.path
    if len(path) < 2 or (path[0] in ROOTS and reference.root != "ctx"):  # noqa: PLR2004
        return None
    setters = [step for _, step, _ in definition.graph.walk() if path[0] in _own(step)]
    reasons = [_reason(step, path[1:]) for step in setters]
    return reasons[0] if reasons and all(reasons) else None


def _own(step: Step) -> set[str]:
    """Return the variables that the step itself sets, and not those nested in it."""
    own = {*step.scope_sets()} if step.scopes() else {*step.sets()}
    return own | ({step.output_key} if step.output_key is not None else set())


def _reason(step: Step, path: Sequence[str]) -> str | None:
    schema = step.output_schema if isinstance(step, Call) else None
    given = f"the output_schema of {step.name!r}"
    for part in path:
        if not isinstance(schema, Mapping) or any(schema.get(word, False) for word in _OPEN):
            return None
        kind = schema.get("type")
        if kind in _SCALARS:
            return f"{given} says that it is of type {kind}, which has no {part!r}"
        if kind == "array":
            if not part.isdecimal():
                return f"{given} says that it is a list, which has positions and no {part!r}"
            schema = schema.get("items")
        else:
            properties: Any = schema.get("properties")
            if not isinstance(properties, Mapping):
                return None
            if part not in properties:
                there = ", ".join(map(str, properties)) or "none"
                return f"{given} has no property {part!r}; there are: {there}"
            schema = properties[part]
    return None
