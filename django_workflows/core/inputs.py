"""What a workflow takes: the typed ``Input`` of a class. Every field error at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from django_workflows.core import codec
from django_workflows.exceptions import ConfigurationError, InputError, PayloadError


class InputSpec(Protocol):
    """How a definition checks its input."""

    def clean(self, workflow_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the input with defaults filled. Raise InputError with every field's error."""

    def schema(self) -> dict[str, Any]:
        """Return the JSON Schema of the input."""

    def names(self) -> frozenset[str] | None:
        """Return the names of the fields, or None where any is taken."""


class AnyInput:
    """The input of a workflow that declares none: any mapping with str keys."""

    def clean(self, workflow_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """See InputSpec.clean()."""
        return storable(workflow_id, data)

    def schema(self) -> dict[str, Any]:
        """See InputSpec.schema()."""
        return {"type": "object"}

    def names(self) -> frozenset[str] | None:
        """See InputSpec.names()."""
        return None


class DataclassInput:
    """The input that a dataclass describes; pydantic reads its annotations."""

    def __init__(self, declared: type) -> None:
        if not dataclasses.is_dataclass(declared):
            # Saves the author the decorator where the class is a plain list of annotations.
            declared = dataclasses.dataclass(declared)
        self.declared = declared
        self.fields = {field.name: field for field in dataclasses.fields(declared)}
        try:
            self.adapter: TypeAdapter[Any] = TypeAdapter(declared)
        except (PydanticUserError, NameError, TypeError) as error:
            raise ConfigurationError(f"Input {declared.__qualname__}: {error}") from error
        _register_enums(self.adapter.core_schema)

    def clean(self, workflow_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """See InputSpec.clean()."""
        errors = {
            str(name): f"unknown field; known are {', '.join(self.fields) or 'none'}"
            for name in data
            if name not in self.fields
        }
        known = {name: value for name, value in data.items() if name in self.fields}
        try:
            typed = self.adapter.validate_python(known)
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False):
                place = ".".join(str(part) for part in problem["loc"]) or "input"
                errors[place] = problem["msg"]
        if errors:
            raise InputError(workflow_id, errors)
        return storable(workflow_id, {name: _plain(getattr(typed, name)) for name in self.fields})

    def schema(self) -> dict[str, Any]:
        """See InputSpec.schema()."""
        return self.adapter.json_schema()

    def names(self) -> frozenset[str] | None:
        """See InputSpec.names()."""
        return frozenset(self.fields)


def checked(spec: InputSpec, workflow_id: str, given: object, limit: int) -> dict[str, Any]:
    """
    Return what ``spec`` makes of an input that anybody may have sent; see InputSpec.clean().

    Raise InputError as well where it is no mapping, or more than ``limit`` bytes of JSON.
    """
    data: object = {} if given is None else given
    if not isinstance(data, Mapping):
        raise InputError(workflow_id, {"input": f"must be a mapping of fields, not {given!r}"})
    cleaned = spec.clean(workflow_id, data)
    size = len(codec.dumps(cleaned))
    if size > limit:
        raise InputError(
            workflow_id,
            {"input": f"{size:,} bytes are more than MAX_PAYLOAD_BYTES ({limit:,}) allows"},
        )
    return cleaned


def storable(workflow_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``data`` as it will read after storage. Raise InputError on what cannot be kept."""
    errors = {}
    kept = {}
    for name, value in data.items():
        try:
            kept.update(codec.normalise({name: value}))
        except PayloadError as error:
            errors[error.path or str(name)] = error.reason
    if errors:
        raise InputError(workflow_id, errors)
    return kept


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if type(value) in {list, tuple, set, frozenset}:
        return type(value)(_plain(item) for item in value)
    if type(value) is dict:
        return {key: _plain(item) for key, item in value.items()}
    return value


def _register_enums(schema: Any) -> None:
    """Make the enums that pydantic's ``schema`` names storable, however deep they are."""
    if isinstance(schema, Enum):
        codec.register_enum(type(schema))
    elif isinstance(schema, Mapping):
        if schema.get("type") == "enum" and "cls" in schema:
            codec.register_enum(schema["cls"])
        for part in schema.values():
            _register_enums(part)
    elif isinstance(schema, (list, tuple)):
        for part in schema:
            _register_enums(part)
