"""
How records become rows: a column for each field.

Values are JSON as text, never as the database's own JSON type: that would lose the order of keys,
NUL characters and the size of numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import Field, fields
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    Integer,
    RowMapping,
    String,
    Text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from django_workflows.core.presence import Presence
from django_workflows.core.records import Record, read_field, write_field
from django_workflows.core.waits import Wait

R = TypeVar("R", bound=Record)

_MYSQL = ("mysql", "mariadb")

long_text = Text().with_variant(mysql.LONGTEXT(), *_MYSQL)
counter = BigInteger().with_variant(Integer(), "sqlite")


def _escape(text: str) -> str:
    # PostgreSQL keeps no NUL in text, and an error's message may well have one.
    return text.replace("\\", "\\\\").replace("\x00", "\\0")


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda match: "\x00" if match[1] == "0" else match[1], text)


class Prose(TypeDecorator[str]):
    """Text of any length and with any character."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(mysql.LONGTEXT() if dialect.name in _MYSQL else Text())

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _escape(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _unescape(value)


class Name(TypeDecorator[str]):
    """Text by which rows are found, compared character for character. An index needs a length."""

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # MariaDB's text columns take "Order-7 " for "order-7".
        if dialect.name in _MYSQL:
            binary = mysql.VARBINARY(4 * self.length) if self.length else mysql.LONGBLOB()
            return dialect.type_descriptor(binary)
        return dialect.type_descriptor(self.impl_instance)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return _escape(value).encode() if dialect.name in _MYSQL else _escape(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return _unescape(value.decode() if isinstance(value, bytes) else value)


class Moment(TypeDecorator[datetime]):
    """An aware datetime: with its time zone where the database has such a type, else in UTC."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name in _MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment if dialect.name == "postgresql" else moment.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


#: Column types by the annotation of the field; what is not here is JSON.
_TYPES: dict[str, TypeEngine[Any]] = {
    "bool": Boolean(),
    "datetime": Moment(),
    "float": Double(),
    "int": BigInteger(),
    "str": Prose(),
    "ChoreKind": Name(20),
    "EntryAction": Name(20),
    "ExecutionStatus": Name(20),
    "WaitKind": Name(20),
    "WaitStatus": Name(20),
}

#: Fields that are looked up, with their greatest length; those without one are in no index.
_NAMES: dict[str, int | None] = {
    "id": 36,
    "execution_id": 36,
    "idempotency_key": 255,
    "key": 255,
    "name": 255,
    "parent": 36,
    "parent_step": None,
    "queue": 255,
    "subject": 255,
    "taken_by": 36,
    "workflow_id": 255,
}

#: What an event's name, a colon and its key may come to.
TOPIC_LENGTH = 511

#: Where a record's field is longer than that of the same name elsewhere.
_LONGER: dict[type[Record], dict[str, int]] = {
    Wait: {"key": TOPIC_LENGTH},
    Presence: {"id": 255},
}


def _annotation(field: Field[Any]) -> str:
    return str(field.type).removesuffix(" | None")


def columns_of(kind: type[Record]) -> Iterable[Column[Any]]:
    """Yield new columns for a table of ``kind``."""
    names = _NAMES | _LONGER.get(kind, {})
    for field in fields(kind):
        if field.name in names:
            column_type: TypeEngine[Any] = Name(names[field.name])
        else:
            column_type = _TYPES.get(_annotation(field), long_text)
        nullable = str(field.type).endswith("| None")
        yield Column(field.name, column_type, primary_key=field.name == "id", nullable=nullable)


def row(record: Record, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return values by column: of all fields, or of those with ``names``."""
    wanted = None if names is None else set(names)
    return {
        field.name: _cell(field, getattr(record, field.name))
        for field in fields(record)
        if wanted is None or field.name in wanted
    }


def record(kind: type[R], values: RowMapping) -> R:
    """Return the record that row() was called on; its defaults where ``values`` lacks a field."""
    known = [field for field in fields(kind) if field.name in values]
    return kind(**{field.name: _value(field, values[field.name]) for field in known})


def _cell(field: Field[Any], value: Any) -> Any:
    annotation = _annotation(field)
    if annotation == "datetime":
        return value
    data = write_field(field, value)
    return data if annotation in _TYPES else json.dumps(data, separators=(",", ":"))


def _value(field: Field[Any], stored: Any) -> Any:
    annotation = _annotation(field)
    if annotation == "datetime":
        return stored
    return read_field(field, stored if annotation in _TYPES else json.loads(stored))
