"""JSON that is typed on the line, read from a file or from a pipe, and key=value pairs."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from django_workflows.core import codec
from django_workflows.core.inputs import InputSpec
from django_workflows.exceptions import PayloadError, WorkflowError

#: Where a value may come from, for the help of an option.
SOURCES = "JSON, @FILE, or - for what is piped in"


class Unreadable(WorkflowError, ValueError):
    """What was given on the line cannot be read as what it should be."""


def add_json(parser: ArgumentParser, option: str, about: str) -> None:
    """Let the line give a value as JSON; see json_of()."""
    parser.add_argument(option, metavar="JSON", help=f"{about}: {SOURCES}")


def json_of(option: str, given: str) -> Any:
    """
    Return the value of ``option``, JSON, ``@file`` or ``-``. Raise Unreadable.

    What JSON has no word for is written as ``--json`` shows it: ``{"$decimal": "9.90"}``.
    """
    where, text = option, given
    if given == "-":
        where, text = f"{option}: what was piped in", _piped(option)
    elif given.startswith("@"):
        where, text = f"{option}: the file {given[1:]}", _from_file(option, given[1:])
    try:
        return codec.decode(json.loads(text, parse_constant=_refuse_constant))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"{where} is not JSON: {error.msg} at {place}.") from error
    except PayloadError as error:
        raise Unreadable(f"{where} has a value that cannot be read: {error}.") from error
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{where} is not JSON that can be kept: {error}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON's.")


def _piped(option: str) -> str:
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise Unreadable(f"{option}: what was piped in is not text: {error}.") from error


def _from_file(option: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        reason = error.strerror or error
        raise Unreadable(f"{option}: {path!r} cannot be read: {reason}.") from error
    except ValueError as error:  # not UTF-8, or a path with a NUL
        raise Unreadable(f"{option}: {path!r} cannot be read as text: {error}.") from error


def input_of(spec: InputSpec, given: str | None, pairs: Iterable[str]) -> dict[str, Any]:
    """
    Return an input made of ``--input`` and of key=value pairs, which count for more.

    A pair's value is text where ``spec`` wants text, else JSON where it is JSON. Raise Unreadable.
    """
    data = {} if given is None else json_of("--input", given)
    if not isinstance(data, dict):
        raise Unreadable(f"--input must be an object of fields, not {json.dumps(data):.60}.")
    typed: dict[str, Any] = {}
    schema = spec.schema()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise Unreadable(f"{pair!r} is no pair: write key=value, such as order_id=7.")
        if key in typed:
            raise Unreadable(f"{key!r} is given twice; a list is written as JSON: {key}='[1, 2]'.")
        typed[key] = _typed(schema, schema.get("properties", {}).get(key, {}), value)
    return {**data, **typed}


def _typed(schema: Mapping[str, Any], field: Mapping[str, Any], value: str) -> Any:
    if "string" in _types(schema, field):
        return value
    try:
        return codec.decode(json.loads(value, parse_constant=_refuse_constant))
    except (ValueError, RecursionError):  # PayloadError is one
        return value  # what the field cannot take, its own error tells best


def _types(schema: Mapping[str, Any], field: Mapping[str, Any]) -> set[str]:
    """Return the JSON types that a field takes, as far as its schema tells."""
    if "$ref" in field:
        name = str(field["$ref"]).rpartition("/")[2]
        return _types(schema, schema.get("$defs", {}).get(name, {}))
    if "type" in field:
        kinds = field["type"]
        return {kinds} if isinstance(kinds, str) else set(kinds)
    found: set[str] = set()
    for one in [*field.get("anyOf", ()), *field.get("oneOf", ()), *field.get("allOf", ())]:
        found |= _types(schema, one)
    return found


def ids_of(given: Iterable[str]) -> list[str]:
    """
    Return execution ids as they were given, each once; ``-`` stands for those piped in.

    Of a piped line the first field counts, so that what ``list`` writes can be piped on.
    """
    found: list[str] = []
    for one in given:
        if one != "-":
            found.append(one)
            continue
        lines = _piped("ID").splitlines()
        found += [line.split()[0] for line in lines if line.strip()]
    return list(dict.fromkeys(found))
