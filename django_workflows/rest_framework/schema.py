"""What drf-spectacular does not see by itself."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import (
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.openapi import AutoSchema

from django_workflows.rest_framework.fields import EnumField
from django_workflows.rest_framework.requests import StrictSerializer


class EnumExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """
    An EnumField is a component with the name of its enum.

    Left to itself, drf-spectacular names it after the field, "StatusEnum", and warns where the
    project has another status.
    """

    target_class = EnumField
    priority = 1

    def get_name(self) -> str:
        """Return the component's name."""
        return f"Workflow{self.target.enum.__name__.removeprefix('Workflow')}"

    def map_serializer_field(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the component."""
        return {"type": "string", "enum": [str(member) for member in self.target.enum]}


class StrictExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """A StrictSerializer takes no field besides its own."""

    target_class = StrictSerializer
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Return the schema, closed."""
        found = auto_schema._map_serializer(  # type: ignore[no-untyped-call]  # noqa: SLF001
            self.target, direction, bypass_extensions=True
        )
        return {**found, "additionalProperties": False}
