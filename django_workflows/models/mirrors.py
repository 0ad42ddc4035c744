"""What the tables of the core's frozen types have in common."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any, ClassVar

from django.db import models

from django_workflows.core.records import Record


class Mirror(models.Model):
    """A table with a column for each field of the frozen type ``core``."""

    core: ClassVar[type[Record]]

    class Meta:
        abstract = True

    @classmethod
    @cache
    def mirrored(cls) -> dict[str, models.Field[Any, Any]]:
        """Return the fields by the core's names, where ``execution`` is ``execution_id``."""
        names = {field.name for field in dataclasses.fields(cls.core)}
        named = {
            field.name if field.name in names else field.attname: field
            for field in cls._meta.concrete_fields
        }
        return {name: field for name, field in named.items() if name in names}

    @classmethod
    def columns_of(cls, record: Record) -> dict[str, Any]:
        """Return the keyword arguments that make a row of ``record``; to_core() undoes it."""
        fields = cls.mirrored().items()
        return {field.attname: getattr(record, name) for name, field in fields}

    def values(self) -> dict[str, Any]:
        """Return the row's values by the core's names."""
        return {name: getattr(self, field.attname) for name, field in self.mirrored().items()}
