"""
Typed JSON: what a step may store, and how it is written.

JSON's own types are written as themselves. Every other type is a mapping with one key that starts
with ``$``, such as ``{"$date": "2026-01-31"}``; a user's mapping that has such a key is wrapped as
``{"$dict": …}``. What cannot be kept is refused with the key path to it, before it is written.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from django_workflows.exceptions import PayloadError

#: How deep values may nest; deeper ones (and circular ones) are refused.
MAX_DEPTH = 100

#: JSON readers may keep fewer digits; Python itself stops parsing at 4,300.
MAX_INT_BITS = 4096

E = TypeVar("E", bound=type[Enum])

_enums: dict[str, type[Enum]] = {}


def register_enum(enum: E) -> E:
    """
    Make the members of ``enum`` storable, and return ``enum``; usable as a decorator.

    Enums that a workflow's module or input mentions are found without it. Stored data can only
    name what has been registered, so no class is ever reached by a name that came from data.
    """
    _enums[_enum_name(enum)] = enum
    return enum


def encode(value: Any) -> Any:
    """Return ``value`` as plain JSON data; raise PayloadError with the path to what is not."""
    return _encode(value, "", 0)


def decode(data: Any) -> Any:
    """Return the value that ``encode`` was given. Raise PayloadError on a tag that is not known."""
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    if len(data) == 1:
        ((tag, body),) = data.items()
        if tag.startswith("$"):
            return _decode_tag(tag, body)
    return {key: decode(item) for key, item in data.items()}


#: Writes plain JSON data as text; json.dumps() would make an encoder for each.
compact = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def dumps(value: Any) -> str:
    """Return ``value`` as typed JSON text. Raise PayloadError, see encode()."""
    return compact(encode(value))


def loads(text: str | bytes) -> Any:
    """Return the value written by dumps(); raise PayloadError on what it cannot have written."""
    try:
        data = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise PayloadError("", f"stored data is not JSON: {error}") from error
    return decode(data)


def normalise(value: Any) -> Any:
    """Return a copy of ``value`` as it will read after storage, or raise PayloadError."""
    return decode(encode(value))


def kept(name: str, value: Any, most_bytes: int) -> Any:
    """
    Return ``value`` as it will read after storage.

    Raise PayloadError where it cannot be kept, or is more than ``most_bytes`` of JSON; its path
    begins with ``name``.
    """
    try:
        text = dumps(value)
    except PayloadError as error:
        dot = "." if error.path and not error.path.startswith("[") else ""
        raise PayloadError(f"{name}{dot}{error.path}", error.reason) from error
    if len(text) > most_bytes:
        reason = f"{len(text):,} bytes are more than MAX_PAYLOAD_BYTES ({most_bytes:,}) allows"
        raise PayloadError(name, reason)
    return loads(text)


def _encode(value: Any, path: str, depth: int) -> Any:
    kind = type(value)
    if kind is str:
        return _text(value, path)
    if value is None or kind is bool:
        return value
    plain = _PLAIN.get(kind)
    if plain is not None:
        return plain(value, path)
    if depth >= MAX_DEPTH:
        raise PayloadError(path[:80], f"nested deeper than {MAX_DEPTH} levels, or circular")
    if kind is dict:
        return _encode_dict(value, path, depth)
    if kind is list:
        return [_encode(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    if kind in _COLLECTIONS:
        items = [_encode(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
        return {_COLLECTIONS[kind]: items if kind is tuple else sorted(items, key=json.dumps)}
    if isinstance(value, Enum):
        return _encode_enum(value, path)
    if isinstance(value, tzinfo):
        raise PayloadError(path, "a time zone cannot be stored; store its name")
    raise PayloadError(path, _refusal(value))


def _text(value: str, path: str) -> str:
    # Encoding is the quickest way to find a lone surrogate, and isascii() spares most of it.
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise PayloadError(path, f"text holds a lone surrogate: {error.reason}") from error
    return value


def _encode_dict(value: dict[Any, Any], path: str, depth: int) -> dict[str, Any]:
    encoded = {}
    tagged = False
    for key, item in value.items():
        if type(key) is not str:
            raise PayloadError(path, f"key {key!r} is {_name(type(key))}; keys must be plain str")
        _text(key, path)
        tagged = tagged or key.startswith("$")
        encoded[key] = _encode(item, f"{path}.{key}" if path else key, depth + 1)
    return {"$dict": encoded} if tagged else encoded


def _int(value: int, path: str) -> int:
    if value.bit_length() > MAX_INT_BITS:
        raise PayloadError(path, f"int of more than {MAX_INT_BITS} bits; store it as text")
    return value


def _float(value: float, path: str) -> float:
    if not math.isfinite(value):
        raise PayloadError(path, f"float {value!r} is no JSON number; store None or text")
    return value


def _decimal(value: Decimal, path: str) -> dict[str, str]:
    if not value.is_finite():
        raise PayloadError(path, f"Decimal {value} is not finite; store None or text")
    return {"$decimal": str(value)}


def _zone(zone: tzinfo | None) -> str | None:
    return zone.key if isinstance(zone, ZoneInfo) else None


def _datetime(value: datetime, path: str) -> dict[str, Any]:
    zone = _zone(value.tzinfo)
    if zone is None:
        text = value.isoformat()
        return {"$datetime": [text, None, 1] if value.fold else text}
    return {"$datetime": [value.replace(tzinfo=None).isoformat(), zone, value.fold]}


def _time(value: time, path: str) -> dict[str, Any]:
    zone = _zone(value.tzinfo)
    if zone is None:
        text = value.isoformat()
        return {"$time": [text, None, 1] if value.fold else text}
    return {"$time": [value.replace(tzinfo=None).isoformat(), zone, value.fold]}


def _timedelta(value: timedelta, path: str) -> dict[str, list[int]]:
    return {"$timedelta": [value.days, value.seconds, value.microseconds]}


_PLAIN: dict[type, Callable[[Any, str], Any]] = {
    int: _int,
    float: _float,
    datetime: _datetime,
    date: lambda value, path: {"$date": value.isoformat()},
    time: _time,
    timedelta: _timedelta,
    Decimal: _decimal,
    UUID: lambda value, path: {"$uuid": str(value)},
    bytes: lambda value, path: {"$bytes": b64encode(value).decode()},
}

_COLLECTIONS: dict[type, str] = {set: "$set", frozenset: "$frozenset", tuple: "$tuple"}


def _enum_name(enum: type[Enum]) -> str:
    return f"{enum.__module__}:{enum.__qualname__}"


def _encode_enum(value: Enum, path: str) -> dict[str, list[str]]:
    name = _enum_name(type(value))
    if _enums.get(name) is not type(value):
        raise PayloadError(
            path,
            f"enum {_name(type(value))} is not known; decorate it with"
            " django_workflows.register_enum, or store its value",
        )
    if value.name not in type(value).__members__:
        raise PayloadError(path, f"{value!r} has no single name; store its value")
    return {"$enum": [name, value.name]}


def _refusal(value: Any) -> str:
    """Say why ``value`` cannot be kept, and what to store in its place."""
    kind = type(value)
    name = _name(kind)
    if hasattr(kind, "_meta") and hasattr(value, "pk"):
        return f"a model instance ({name}) cannot be stored; store its pk"
    if hasattr(kind, "__dataclass_fields__"):
        return f"a dataclass ({name}) cannot be stored; store dataclasses.asdict() of it"
    for plain in (bool, int, float, str, dict, list, tuple, set, bytes, datetime, date):
        if isinstance(value, plain):
            return f"{name} would lose its type; store a plain {plain.__name__}"
    if hasattr(value, "__next__") or hasattr(value, "model"):
        return f"{name} cannot be stored; store a list of plain values"
    return f"{name} cannot be stored; store plain data"


def _name(kind: type) -> str:
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _moment(parse: Callable[[str], Any], body: Any) -> Any:
    if isinstance(body, str):
        return parse(body)
    text, zone, fold = body
    moment = parse(text).replace(fold=fold)
    return moment if zone is None else moment.replace(tzinfo=ZoneInfo(zone))


def _decode_enum(body: list[str]) -> Enum:
    name, member = body
    if name not in _enums:
        raise PayloadError(
            "", f"stored enum {name!r} is not known here; register it (register_enum)"
        )
    return _enums[name][member]


def _decode_items(body: Iterable[Any]) -> list[Any]:
    return [decode(item) for item in body]


_TAGS: dict[str, Callable[[Any], Any]] = {
    "$bytes": lambda body: b64decode(body, validate=True),
    "$date": date.fromisoformat,
    "$datetime": lambda body: _moment(datetime.fromisoformat, body),
    "$decimal": Decimal,
    "$dict": lambda body: {key: decode(item) for key, item in body.items()},
    "$enum": _decode_enum,
    "$frozenset": lambda body: frozenset(_decode_items(body)),
    "$set": lambda body: set(_decode_items(body)),
    "$time": lambda body: _moment(time.fromisoformat, body),
    "$timedelta": lambda body: timedelta(*body),
    "$tuple": lambda body: tuple(_decode_items(body)),
    "$uuid": UUID,
}


def _decode_tag(tag: str, body: Any) -> Any:
    read = _TAGS.get(tag)
    if read is None:
        raise PayloadError("", f"stored data has the unknown type tag {tag!r}")
    try:
        return read(body)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise PayloadError("", f"stored {tag} {body!r} cannot be read: {error}") from error
