"""Model fields that read and write what the core's frozen types hold, on every database alike."""

from __future__ import annotations

import json
import math
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.backends.ddl_references import Statement
from django.utils.translation import gettext_lazy

from django_workflows.core import codec
from django_workflows.core.execution import Compensation
from django_workflows.core.frames import Cursor
from django_workflows.core.waits import Answer
from django_workflows.exceptions import PayloadError, escaped

if TYPE_CHECKING:
    CharField = models.CharField[Any, Any]
    TextField = models.TextField[Any, Any]
    UUIDField = models.UUIDField[Any, Any]
else:
    # Generic in the stubs alone.
    from django.db.models import CharField, TextField, UUIDField


class IdField(UUIDField):
    """A UUID, kept as the database's own type and read as the text that the core uses."""

    def to_python(self, value: Any) -> str | None:
        value = super().to_python(value)
        return None if value is None else str(value)

    def from_db_value(self, value: Any, expression: object, connection: object) -> str | None:
        return None if value is None else str(value)

    def get_db_prep_value(
        self,
        value: Any,
        connection: BaseDatabaseWrapper,
        prepared: bool = False,  # noqa: FBT001, FBT002  Django's signature
    ) -> Any:
        return super().get_db_prep_value(super().to_python(value), connection, prepared)


class EnumField(CharField):
    """A member of the string enum ``enum``; its choices follow the enum without a migration."""

    def __init__(self, *args: Any, enum: type[StrEnum], **options: Any) -> None:
        self.enum = enum
        options["choices"] = [
            (member.value, gettext_lazy(member.value.replace("_", " "))) for member in enum
        ]
        super().__init__(*args, **{"max_length": 20} | options)

    def deconstruct(self) -> Any:
        name, path, args, options = super().deconstruct()
        del options["choices"]
        return name, path, args, {**options, "enum": self.enum}

    def to_python(self, value: Any) -> Any:
        return value if value is None else self.enum(value)

    def from_db_value(self, value: Any, expression: object, connection: object) -> Any:
        return value if value is None else self.enum(value)

    def get_prep_value(self, value: Any) -> Any:
        return value if value is None else str(value)


def _compared_exactly(parameters: Any, connection: BaseDatabaseWrapper) -> Any:
    """Return a column's ``parameters`` such that it is compared character by character."""
    if connection.vendor == "mysql":
        # Its usual collations hold "a" for "A", and for "a " too.
        mariadb = connection.mysql_is_mariadb  # type: ignore[attr-defined]  # of this vendor
        parameters["collation"] = "utf8mb4_nopad_bin" if mariadb else "utf8mb4_0900_bin"
    return parameters


class KeyField(CharField):
    """
    Text by which rows are found: compared character by character on every database.

    What is longer than ``max_length`` is refused with PayloadError when it is written.
    """

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        return _compared_exactly(super().db_parameters(connection), connection)

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return value if value is None else escaped(value)

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        # SQLite would keep it, others cut it or fail halfway through a checkpoint.
        if isinstance(value, str) and len(value) > (self.max_length or math.inf):
            raise PayloadError(
                self.name, f"text of {len(value)} characters; at most {self.max_length} are kept"
            )
        return super().get_db_prep_save(value, connection)


class FreeTextField(TextField):
    """Text from anywhere, such as an error's message; what cannot be kept becomes an escape."""

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return value if value is None else escaped(value)


class PathField(FreeTextField):
    """The path of a step: as long as it likes, compared character by character."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        return _compared_exactly(super().db_parameters(connection), connection)


class TypedJSONField(TextField):
    """
    Any value that core.codec can keep, as text.

    Not the database's JSON type: that one reorders keys and refuses NUL, and nothing here is ever
    filtered by what is inside.
    """

    def write(self, value: Any) -> str:
        """Return ``value`` as text."""
        return codec.dumps(value)

    def read(self, text: str) -> Any:
        """Return the value that write() was given."""
        return codec.loads(text)

    def from_db_value(self, value: str | None, expression: object, connection: object) -> Any:
        return value if value is None else self.read(value)

    def get_prep_value(self, value: Any) -> str | None:
        return None if value is None else self.write(value)

    def value_to_string(self, obj: models.Model) -> Any:
        return self.get_prep_value(self.value_from_object(obj))

    def to_python(self, value: Any) -> Any:
        # Asked by loaddata only, which hands in what value_to_string() wrote: see clean().
        return self.read(value) if isinstance(value, str) else value

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        # Text is a value like any other here, so it must not be taken for JSON.
        self.validate(value, model_instance)
        return value


class CursorField(TypedJSONField):
    """A Cursor: where an execution stands inside nested steps."""

    def write(self, value: Cursor) -> str:
        return codec.compact(value.to_dict())

    def read(self, text: str) -> Cursor:
        return Cursor.from_dict(json.loads(text))


class CompensationsField(TypedJSONField):
    """A tuple of Compensations."""

    def write(self, value: tuple[Compensation, ...]) -> str:
        return codec.compact([compensation.to_dict() for compensation in value])

    def read(self, text: str) -> tuple[Compensation, ...]:
        return tuple(Compensation.from_dict(item) for item in json.loads(text))


class AnswersField(TypedJSONField):
    """A tuple of Answers."""

    def write(self, value: tuple[Answer, ...]) -> str:
        return codec.compact([answer.to_dict() for answer in value])

    def read(self, text: str) -> tuple[Answer, ...]:
        return tuple(Answer.from_dict(item) for item in json.loads(text))


class PartialIndex(models.Index):
    """
    An index of the rows that are as ``only`` says; of all rows, where a database has no such thing.

    As Django's ``condition``, but that has each ``migrate`` warn users of MariaDB (models.W037).
    """

    def __init__(self, *, only: models.Q, **options: Any) -> None:
        self.only = only
        super().__init__(**options)

    def deconstruct(self) -> Any:
        path, args, options = super().deconstruct()
        return path, args, {**options, "only": self.only}

    def create_sql(
        self,
        model: type[models.Model],
        schema_editor: BaseDatabaseSchemaEditor,
        using: str = "",
        **options: Any,
    ) -> Statement:
        partial = models.Index(fields=self.fields, name=self.name, condition=self.only)
        return partial.create_sql(model, schema_editor, using, **options)
