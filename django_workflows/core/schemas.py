"""JSON Schema (draft 2020-12), which a step may ask for in what it is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator
from pydantic_core import to_jsonable_python
from referencing import Registry
from referencing.exceptions import Unresolvable

#: Under this key the data of a wait has the schema of the answer that it takes.
RESPONSE_SCHEMA = "response_schema"


def problems(name: str, schema: Mapping[str, Any] | None) -> Iterator[str]:
    """Generate what is wrong with a schema that the option ``name`` of a step was given."""
    if schema is None:
        return
    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        yield f"{name} is no JSON Schema: {error.message}"
        return
    for reference in _references(schema):
        if not reference.startswith("#"):
            yield f"{name} refers to {reference!r}: put that under $defs, for nothing is fetched"


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"]
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _references(part)


def asking(data: Mapping[str, Any], schema: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the data of a wait, with the schema of its answer where there is one."""
    return {**data, RESPONSE_SCHEMA: dict(schema)} if schema is not None else dict(data)


def response_schema(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """
    Return the schema that the data of a wait has for its answer; None where any answer will do.

    So it is where other data has that name, for an option of a step is checked before.
    """
    schema = data.get(RESPONSE_SCHEMA)
    if not isinstance(schema, Mapping) or any(problems(RESPONSE_SCHEMA, schema)):
        return None
    return schema


def breaches(schema: Mapping[str, Any], value: Any) -> dict[str, str]:
    """
    Return what is wrong with a value, by where: ``lines.0.price``; the empty text is the whole.

    A schema speaks of JSON. What is none is shown to it as other programs write it: dates, times
    and durations in ISO 8601, decimals and UUIDs as texts.
    """
    plain = to_jsonable_python(value, fallback=str)
    found: dict[str, str] = {}
    try:
        for error in Draft202012Validator(dict(schema), registry=Registry()).iter_errors(plain):
            found.setdefault(".".join(map(str, error.absolute_path)), error.message)
    except Unresolvable as error:
        found[""] = f"its schema refers to {error.ref!r}, which is not in it"
    return found
