"""Fields of the API: the codec's JSON, and types that take no other for theirs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from django_workflows.core import codec, schemas
from django_workflows.exceptions import PayloadError, message_of


@extend_schema_field({})
class TypedJSONField(serializers.Field[Any, Any, Any, Any]):
    """
    A value as core.codec writes it: JSON, and what JSON lacks as ``{"$date": "2026-01-31"}``.

    What the API has shown can be sent back, and is the same value again.
    """

    default_error_messages = {
        "too_deep": _("The value nests too deeply."),
        "unreadable": _(
            "{reason}. A mapping with a key that begins with $ is sent as {{'$dict': …}}."
        ),
    }

    def to_representation(self, value: Any) -> Any:
        return codec.encode(value)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return codec.decode(data)
        except RecursionError:
            self.fail("too_deep")
        except (PayloadError, OSError) as error:  # OSError: a time zone's name that is a folder's
            self.fail("unreadable", reason=message_of(error).rstrip("."))


@extend_schema_field({"type": "object", "additionalProperties": True})
class TypedMappingField(TypedJSONField):
    """A mapping as core.codec writes it; see TypedJSONField."""

    default_error_messages = {"no_mapping": _("Must be an object, not {kind}.")}

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        value = super().to_internal_value(data)
        if not isinstance(data, Mapping) or not isinstance(value, dict):
            self.fail("no_mapping", kind=type(value).__name__)
        return value


@extend_schema_field({"type": "object", "additionalProperties": True})
class ResponseSchemaField(serializers.Field[Any, Any, Any, Any]):
    """
    The JSON Schema that the data of a wait has for its answer, and null where any will do.

    It is as it stands there, for a validator to read: its ``$ref`` is none of the codec's tags.
    """

    def to_representation(self, value: Any) -> Any:
        return schemas.plain(schemas.response_schema(value))


class EnumField(serializers.Field[Any, Any, Any, Any]):
    """The value of a member of the string enum ``enum``; see schema.EnumExtension."""

    def __init__(self, enum: type[StrEnum], **options: Any) -> None:
        self.enum = enum
        super().__init__(**options)

    def to_representation(self, value: Any) -> str:
        return str(value)


class TextField(serializers.CharField):
    """Text as it was sent; nothing else is taken for text."""

    def __init__(self, **options: Any) -> None:
        # Not to be left blank is said in the OpenAPI document as well: by the least length.
        least = {} if options.get("allow_blank") else {"min_length": 1}
        super().__init__(**{"trim_whitespace": False} | least | options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    """True or false; nothing else is taken for them."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class SecondsField(serializers.FloatField):
    """A number of seconds, 0 or more."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"min_value": 0} | options)

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, (int, float)):
            self.fail("invalid")
        return super().to_internal_value(data)
