"""What a workflow takes that is written as a document: ``inputs`` with a type for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django_workflows.core.inputs import storable
from django_workflows.exceptions import InputError

if TYPE_CHECKING:
    from django_workflows.core.document.reader import Reader


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


#: The types by their names, which are JSON Schema's: how to say one, and what is of it.
TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("text", lambda value: isinstance(value, str)),
    "integer": ("a whole number", lambda v: isinstance(v, int) and not isinstance(v, bool)),
    "number": ("a number", _is_number),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "array": ("a list", lambda value: isinstance(value, (list, tuple))),
    "object": ("a mapping", lambda value: isinstance(value, Mapping)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One input."""

    type: str = "string"
    required: bool = True
    default: Any = None  # fills in for what is missing or null, required or not
    description: str = ""

    def misfit(self, value: Any) -> str | None:
        """Return what is wrong with ``value``, or None."""
        wanted, fits = TYPES[self.type]
        return None if fits(value) else f"must be {wanted}, not {value!r:.60}"


@dataclass(frozen=True, slots=True)
class DocumentInput:
    """The inputs of a document. Types are strict; names that it does not mention are kept."""

    fields: Mapping[str, Field]

    def clean(self, workflow_id: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """See InputSpec.clean()."""
        filled = dict(data)
        errors = {}
        for name, field in self.fields.items():
            if filled.get(name) is None and field.default is not None:
                filled[name] = field.default
            elif filled.get(name) is not None:
                errors[name] = field.misfit(filled[name])
            elif field.required:
                errors[name] = "is required"
        wrong = {name: error for name, error in errors.items() if error is not None}
        try:
            kept = storable(workflow_id, filled)
        except InputError as error:
            raise InputError(workflow_id, {**error.errors, **wrong}) from error
        if wrong:
            raise InputError(workflow_id, wrong)
        return kept

    def schema(self) -> dict[str, Any]:
        """See InputSpec.schema()."""
        properties: dict[str, dict[str, Any]] = {}
        for name, field in self.fields.items():
            properties[name] = {"type": field.type}
            if field.description:
                properties[name]["description"] = field.description
            if field.default is not None:
                properties[name]["default"] = field.default
        required = [
            name for name, field in self.fields.items() if field.required and field.default is None
        ]
        return {"type": "object", "properties": properties, "required": required}

    def names(self) -> None:
        """See InputSpec.names(): others are kept."""


def read_inputs(reader: Reader | None) -> DocumentInput:
    """Return the inputs that a document declares; ``reader`` is None where it has none."""
    fields: dict[str, Field] = {}
    for name in reader.keys if reader else ():
        field = reader.inner(name) if reader else None
        fields[name] = Field() if field is None else _read_field(field)
    return DocumentInput(fields)


def _read_field(reader: Reader) -> Field:
    field = Field(
        type=reader.choice("type", TYPES, "string"),
        required=reader.boolean("required", default=True),
        default=reader.value("default"),
        description=reader.text("description"),
    )
    misfit = None if field.default is None else field.misfit(field.default)
    if misfit is not None:
        reader.problem(misfit, "default")
    reader.finish("an input")
    return field
