"""
How RedisStore writes records: a hash for each, a field for each of the record's, JSON in it.

Moments are microseconds since 1970, so that they are also scores of sorted sets; a double holds
them exactly until the year 2255.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from django_workflows.core.records import Record, read_field, write_field

R = TypeVar("R", bound=Record)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MOMENT_TYPES = {"datetime", "datetime | None"}


def text(value: Any) -> str:
    """Return plain JSON data as text."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def score(moment: datetime) -> int:
    """Return ``moment`` as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def cells(record: Record, names: Iterable[str] | None = None) -> list[str]:
    """Return field, value, field, value, …; of all fields, or of those with ``names``."""
    wanted = None if names is None else set(names)
    row: list[str] = []
    for field in fields(record):
        if wanted is None or field.name in wanted:
            value = getattr(record, field.name)
            is_moment = field.type in _MOMENT_TYPES and value is not None
            row += (field.name, text(score(value) if is_moment else write_field(field, value)))
    return row


def record(kind: type[R], row: Sequence[str]) -> R:
    """Return the record that cells() was called on; fields that are not the record's are left."""
    stored = dict(zip(row[::2], row[1::2], strict=True))
    values: dict[str, Any] = {}
    for field in fields(kind):
        data = json.loads(stored[field.name])
        is_moment = field.type in _MOMENT_TYPES and data is not None
        values[field.name] = _moment(data) if is_moment else read_field(field, data)
    return kind(**values)


def _moment(microseconds: int) -> datetime:
    return _EPOCH + microseconds * _MICROSECOND
