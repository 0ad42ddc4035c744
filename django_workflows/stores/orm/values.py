"""How the values of records become parameters, without asking what is known beforehand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateTimeField, Field, IntegerField

from django_workflows.core.records import Record
from django_workflows.exceptions import escaped
from django_workflows.fields import EnumField, FreeTextField, IdField, TypedJSONField

#: Turns a value of one field into a parameter of a connection, which is a thread's own.
Writer = Callable[[BaseDatabaseWrapper, Any], Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """Some columns of a table, as statements name them, and what takes a record's values there."""

    names: tuple[str, ...]  # of the fields
    listed: str
    marks: str
    written: str
    read: Callable[[Record], tuple[Any, ...]]
    writers: tuple[Writer, ...]

    def values(self, connection: BaseDatabaseWrapper, record: Record) -> list[Any]:
        """Return the parameters that write ``record``."""
        given = zip(self.writers, self.read(record), strict=True)
        return [write(connection, value) for write, value in given]


#: Turns what the database gives into a value of one field.
Converter = Callable[[BaseDatabaseWrapper, Any], Any]


def converter(field: Field[Any, Any]) -> Converter | None:
    """
    Return what turns a value that PostgreSQL gives into one of ``field``; None where it is one.

    What the field has to say to it, that is: PostgreSQL's own types need no help of Django's.
    """
    # A foreign key's is that of the key it points to.
    column = field.get_col(field.model._meta.db_table)
    convert = getattr(column.output_field, "from_db_value", None)
    if convert is None:
        return None
    return lambda connection, value: convert(value, None, connection)


def reader(names: Sequence[str]) -> Callable[[Record], tuple[Any, ...]]:
    """Return what reads the attributes ``names`` of a record."""
    if len(names) == 1:
        return lambda record: (getattr(record, names[0]),)
    return attrgetter(*names) if names else lambda record: ()


def writer(field: Field[Any, Any], connection: BaseDatabaseWrapper) -> Writer:
    """
    Return what does as ``field.get_db_prep_save()``, quicker for the types that the core holds.

    A checkpoint has twenty values; of what is no surprise, the type is all that is looked at.
    """
    if isinstance(field, IntegerField):
        return _integers(field)
    if isinstance(field, DateTimeField):
        return _moments(field)
    if isinstance(field, FreeTextField):
        return _texts(field)
    if isinstance(field, IdField) and connection.vendor == "postgresql":
        # It reads text as it is, and refuses what is no UUID.
        return lambda connection, value: value
    # What these keep as text is text to every database.
    usual = field.get_db_prep_save
    if isinstance(field, TypedJSONField | EnumField):
        prepare = field.get_prep_value
        return lambda connection, value: None if value is None else prepare(value)
    return lambda connection, value: None if value is None else usual(value, connection)


def _integers(field: Field[Any, Any]) -> Writer:
    usual, internal = field.get_db_prep_save, field.get_internal_type()

    def write(connection: BaseDatabaseWrapper, value: Any) -> Any:
        if type(value) is int:
            return connection.ops.adapt_integerfield_value(value, internal)
        return None if value is None else usual(value, connection)

    return write


def _moments(field: Field[Any, Any]) -> Writer:
    usual = field.get_db_prep_save

    def write(connection: BaseDatabaseWrapper, value: Any) -> Any:
        if type(value) is datetime and value.tzinfo is not None:
            return connection.ops.adapt_datetimefield_value(value)
        return None if value is None else usual(value, connection)

    return write


def _texts(field: Field[Any, Any]) -> Writer:
    usual = field.get_db_prep_save

    def write(connection: BaseDatabaseWrapper, value: Any) -> Any:
        if type(value) is str:
            return escaped(value)
        return None if value is None else usual(value, connection)

    return write
