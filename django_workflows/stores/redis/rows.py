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

from django_workflows.core.chores import Chore
from django_workflows.core.execution import Entry
from django_workflows.core.records import Record, read_field, write_field
from django_workflows.core.waits import Wait

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


def moment(microseconds: int) -> datetime:
    """Return the moment that score() was called on."""
    return _EPOCH + microseconds * _MICROSECOND


def place(created_at: datetime, execution_id: str) -> str:
    """Return what comes, as text, in the order of ``created_at`` and id."""
    return f"{score(created_at):020d}:{execution_id}"


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
    """
    Return the record that cells() was called on; fields that are not the record's are left.

    Where ``row`` has only some of the record's fields, the others are as in a new one.
    """
    stored = dict(zip(row[::2], row[1::2], strict=True))
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in stored:
            data = json.loads(stored[field.name])
            is_moment = field.type in _MOMENT_TYPES and data is not None
            values[field.name] = moment(data) if is_moment else read_field(field, data)
    return kind(**values)


def lines(entries: Sequence[Entry]) -> list[str]:
    """Return what a history is appended of."""
    return [text(entry.to_dict()) for entry in entries]


def opened(wait: Wait) -> dict[str, Any]:
    """Return ``wait`` to be written with all its fields."""
    return {"id": wait.id, "known_only": False, "cells": cells(wait)}


def closed(wait: Wait) -> dict[str, Any]:
    """Return ``wait`` to be written with its status only, and only where it is known."""
    return {"id": wait.id, "known_only": True, "cells": cells(wait, ["status"])}


def left(chores: Sequence[Chore]) -> list[dict[str, Any]]:
    """Return ``chores`` to be written."""
    return [{"id": chore.id, "cells": cells(chore)} for chore in chores]
