"""JSON Schema (draft 2020-12), which a step may ask for in what it is given."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import Draft202012Validator, extend
from pydantic_core import to_jsonable_python
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

#: Under this key the data of a wait has the schema of the answer that it takes.
RESPONSE_SCHEMA = "response_schema"

#: How many wrong places of a value are named, and how many characters are said of each.
MOST_BREACHES, LONGEST_BREACH = 5, 300

#: Under these keys a schema has values, where "$ref" is a key like any other.
_VALUES = {"const", "default", "enum", "examples"}

#: Under these it has schemas by a name, which may be one of the keys above.
_BY_NAME = {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}


class Unusable(Exception):
    """A value cannot be compared with a schema; the message says why."""


def problems(name: str, schema: Mapping[str, Any] | None) -> Iterator[str]:
    """Generate what is wrong with a schema that the option ``name`` of a step was given."""
    if schema is None:
        return
    try:
        Draft202012Validator.check_schema(dict(schema))
        lost = list(_lost(schema, Registry().resolver_with_root(_resource(schema))))
    except SchemaError as error:
        yield f"{name} is no JSON Schema: {_cut(error.message)}"
        return
    except RecursionError:
        yield f"{name} is no JSON Schema: it nests too deeply"
        return
    for reference, why in lost:
        yield f"{name} refers to {reference!r}{why}"
    if not lost and (why := _why_unreadable(schema)):
        yield f"{name} {why}"


def _resource(schema: Mapping[str, Any]) -> Any:
    return DRAFT202012.create_resource(dict(schema))


def _lost(schema: Any, resolver: Any) -> Iterator[tuple[str, str]]:
    """Generate the references that lead to no schema, each with why."""
    if isinstance(schema, list):
        for part in schema:
            yield from _lost(part, resolver)
    if not isinstance(schema, Mapping):
        return
    if isinstance(schema.get("$id"), str):
        resolver = resolver.in_subresource(_resource(schema))
    for key, part in schema.items():
        if key in {"$ref", "$dynamicRef"} and isinstance(part, str):
            if why := _why_lost(part, resolver):
                yield part, why
        elif key in _BY_NAME and isinstance(part, Mapping):
            yield from _lost(list(part.values()), resolver)
        elif key not in _VALUES:
            yield from _lost(part, resolver)


def _why_lost(reference: str, resolver: Any) -> str:
    try:
        found = resolver.lookup(reference).contents
    except (Unresolvable, TypeError, ValueError):  # the others: of a path into a list or a number
        if reference.startswith("#"):
            return ", which is not in it"
        return ": put that under $defs, for nothing is fetched"
    return "" if isinstance(found, (bool, Mapping)) else ", which is no schema"


def _why_unreadable(schema: Mapping[str, Any]) -> str:
    try:
        # None has no parts: whatever is endless for it is so for every value.
        _validator(schema).is_valid(None)
    except RecursionError:
        return "refers to itself at once, so nothing can be compared with it"
    except _UNREADABLE as error:  # of what only a reference makes a part of the schema
        return f"is no JSON Schema: {_cut(str(error))}"
    return ""


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


def plain(value: Any) -> Any:
    """
    Return a value as the JSON that other programs write for it. Raise Unusable.

    Dates, times and durations are texts in ISO 8601, bytes in the base64 of URLs, decimals and
    UUIDs as they are printed.
    """
    try:
        return to_jsonable_python(value, bytes_mode="base64", fallback=str)
    except (RecursionError, ValueError) as error:
        raise Unusable(f"it cannot be read as JSON: {_cut(str(error))}") from error


def breaches(schema: Mapping[str, Any], value: Any) -> dict[str, str]:
    """
    Return what is wrong with a value, by where: ``lines.0.price``; the empty text is the whole.

    It is shown to the schema as plain() writes it. No more than MOST_BREACHES places are told, each
    cut at LONGEST_BREACH characters: this is asked under a lock, and whoever sent it is told.
    """
    try:
        return found_breaches(schema, value)
    except Unusable as error:
        return {"": str(error)}


def found_breaches(schema: Mapping[str, Any], value: Any) -> dict[str, str]:
    """Do as breaches(). Raise Unusable where value and schema cannot be compared."""
    shown = plain(value)
    found: dict[str, str] = {}
    try:
        for error in _validator(schema).iter_errors(shown):
            place = ".".join(map(str, error.absolute_path))
            found.setdefault(_cut(place), _cut(error.message))
            if len(found) == MOST_BREACHES:
                break
    except Unresolvable as error:
        raise Unusable(f"its schema refers to {error.ref!r}, which is not in it") from error
    except RecursionError as error:
        raise Unusable("it nests too deeply, or its schema refers to itself") from error
    except _UNREADABLE as error:
        raise Unusable(f"it cannot be compared with its schema: {_cut(str(error))}") from error
    return found


#: What the library raises for a pattern that is none, a number that no float holds, and for parts
#: of a schema that are no schemas.
_UNREADABLE = (Unresolvable, re.error, ArithmeticError, AttributeError, TypeError, ValueError)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_BREACH else f"{text[: LONGEST_BREACH - 1]}…"


def _validator(schema: Mapping[str, Any]) -> Any:
    # An empty registry: nothing is fetched for a reference to elsewhere. Of formats those are
    # checked that the library knows by itself.
    formats = Draft202012Validator.FORMAT_CHECKER
    return _Validator(dict(schema), registry=Registry(), format_checker=formats)


def _unique(_validator: Any, is_asked: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
    if is_asked and isinstance(value, list) and len(set(map(_key, value))) < len(value):
        yield ValidationError(f"{value!r} has non-unique elements")


def _key(value: Any) -> Any:
    """Return what is equal for equal JSON, where 1 is 1.0 but not true, and can be in a set."""
    if isinstance(value, Mapping):
        return frozenset((name, _key(part)) for name, part in value.items())
    if isinstance(value, list):
        return tuple(map(_key, value))
    return (bool, value) if isinstance(value, bool) else value


def _any_of(
    validator: Any, choices: Sequence[Any], value: Any, _schema: Any
) -> Iterator[ValidationError]:
    if not any(validator.evolve(schema=one).is_valid(value) for one in choices):
        yield ValidationError(f"{value!r} is not valid under any of the given schemas")


def _one_of(
    validator: Any, choices: Sequence[Any], value: Any, _schema: Any
) -> Iterator[ValidationError]:
    fitting = sum(validator.evolve(schema=one).is_valid(value) for one in choices)
    if fitting != 1:
        many = f"valid under {fitting}" if fitting else "not valid under any"
        yield ValidationError(f"{value!r} is {many} of the given schemas")


#: The library's own compare each item with each, and gather every error of every choice.
_Validator = extend(  # type: ignore[no-untyped-call]  # the stubs leave an argument without a type
    Draft202012Validator, {"anyOf": _any_of, "oneOf": _one_of, "uniqueItems": _unique}
)
