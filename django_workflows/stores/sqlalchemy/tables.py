"""
The tables of SqlAlchemyStore, and how records become rows.

A column for each field of the record. Values are JSON as text, never as the database's own JSON
type: that would lose the order of keys, NUL characters and the size of numbers.
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
    Index,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from django_workflows.core.execution import Entry, Execution
from django_workflows.core.records import Record, read_field, write_field
from django_workflows.core.waits import InboxEvent, Wait

R = TypeVar("R", bound=Record)

_MYSQL = ("mysql", "mariadb")

_long_text = Text().with_variant(mysql.LONGTEXT(), *_MYSQL)
_counter = BigInteger().with_variant(Integer(), "sqlite")


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
    """Text by which rows are found, compared character for character."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        # MariaDB's text columns take "Order-7 " for "order-7".
        if dialect.name in _MYSQL:
            return dialect.type_descriptor(mysql.VARBINARY(4 * self.length))
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
    "int": BigInteger(),
    "str": Prose(),
    "EntryAction": Name(20),
    "ExecutionStatus": Name(20),
    "WaitKind": Name(20),
    "WaitStatus": Name(20),
}

#: Fields that are looked up, with their greatest length.
_NAMES = {
    "id": 36,
    "execution_id": 36,
    "idempotency_key": 255,
    "key": 255,
    "name": 255,
    "parent": 36,
    "subject": 255,
    "taken_by": 36,
    "workflow_id": 255,
}


def _annotation(field: Field[Any]) -> str:
    return str(field.type).removesuffix(" | None")


def _columns(kind: type[Record]) -> Iterable[Column[Any]]:
    for field in fields(kind):
        if field.name in _NAMES:
            column_type: TypeEngine[Any] = Name(_NAMES[field.name])
        else:
            column_type = _TYPES.get(_annotation(field), _long_text)
        nullable = str(field.type).endswith("| None")
        yield Column(field.name, column_type, primary_key=field.name == "id", nullable=nullable)


metadata = MetaData()

# Whatever the database's own default is, text may be in any language.
_OPTIONS: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}

executions = Table(
    "workflow_executions",
    metadata,
    *_columns(Execution),
    UniqueConstraint("workflow_id", "idempotency_key", name="workflow_executions_key"),
    Index("workflow_executions_newest", "created_at", "id"),
    Index("workflow_executions_of_workflow", "workflow_id", "status", "created_at"),
    Index("workflow_executions_of_status", "status", "created_at"),
    Index("workflow_executions_of_parent", "parent"),
    Index("workflow_executions_of_subject", "subject"),
    Index("workflow_executions_pending", "status", "updated_at"),
    Index("workflow_executions_leases", "status", "lease_expires_at"),
    Index("workflow_executions_deadlines", "status", "deadline_at"),
    **_OPTIONS,
)

entries = Table(
    "workflow_entries",
    metadata,
    Column("number", _counter, primary_key=True, autoincrement=True),
    *_columns(Entry),
    Index("workflow_entries_history", "execution_id", "number"),
    **_OPTIONS,
)

waits = Table(
    "workflow_waits",
    metadata,
    *_columns(Wait),
    Index("workflow_waits_of_execution", "execution_id", "opened_at"),
    Index("workflow_waits_open", "status", "opened_at"),
    Index("workflow_waits_of_kind", "status", "kind", "opened_at"),
    Index("workflow_waits_of_key", "status", "key", "opened_at"),
    Index("workflow_waits_due", "status", "wake_at"),
    **_OPTIONS,
)

events = Table(
    "workflow_events",
    metadata,
    *_columns(InboxEvent),
    Column("topic", Name(511), nullable=False),
    Index("workflow_events_inbox", "topic", "taken_by", "sent_at"),
    # One wait takes one event, even if it asks twice at once.
    UniqueConstraint("taken_by", name="workflow_events_taken"),
    **_OPTIONS,
)

graphs = Table(
    "workflow_graphs",
    metadata,
    Column("workflow_id", Name(255), primary_key=True),
    Column("version", Name(255), primary_key=True),
    Column("graph", _long_text, nullable=False),
    **_OPTIONS,
)


def row(record: Record, names: Iterable[str] | None = None) -> dict[str, Any]:
    """Return values by column: of all fields, or of those with ``names``."""
    wanted = None if names is None else set(names)
    return {
        field.name: _cell(field, getattr(record, field.name))
        for field in fields(record)
        if wanted is None or field.name in wanted
    }


def record(kind: type[R], values: RowMapping) -> R:
    """Return the record that row() was called on."""
    return kind(**{field.name: _value(field, values[field.name]) for field in fields(kind)})


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
