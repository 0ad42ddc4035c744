"""Form fields for what HTML has no control for: JSON by its schema, and decimal numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, NoReturn

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from django_workflows.core import schemas

Schema = Mapping[str, Any]


class Blank(Enum):
    """What a field that was left blank stands for, where it is no value."""

    LEFT_OUT = "left out"  # whoever takes the value fills it


class JSONText(forms.CharField):
    """A value written as JSON, and checked against a JSON Schema; ``schema`` has its "$defs"."""

    widget = forms.Textarea(
        attrs={"rows": 4, "class": "vLargeTextField wf-code", "spellcheck": "false"}
    )

    def __init__(self, *, schema: Schema, **options: Any) -> None:
        super().__init__(strip=True, **options)
        self.schema = schema

    def clean(self, value: Any) -> Any:
        """Return the value; Blank.LEFT_OUT where nothing was written."""
        text = super().clean(value)
        if not text:
            return Blank.LEFT_OUT
        try:
            parsed = json.loads(text, parse_constant=_no_constant)
        except (RecursionError, ValueError) as error:
            shown = str(error)[: schemas.LONGEST_BREACH]
            raise ValidationError(_("This is not JSON: %(error)s") % {"error": shown}) from error
        problems = schema_problems(self.schema, parsed)
        if problems:
            raise ValidationError(problems)
        return parsed

    def prepare_value(self, value: Any) -> Any:
        """Return a default as the JSON that may be typed for it; what was typed stays as it is."""
        if value is None or isinstance(value, str):
            return value
        return json.dumps(schemas.plain(value), indent=2, ensure_ascii=False)


class DecimalText(forms.CharField):
    """A decimal number. A text that is none is left to the workflow, whose schema may allow it."""

    widget = forms.TextInput(attrs={"inputmode": "decimal"})

    def clean(self, value: Any) -> Any:
        """Return the Decimal, or the text."""
        text = super().clean(value)
        try:
            number = Decimal(text)
        except InvalidOperation:
            return text
        return number if number.is_finite() else text


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def schema_problems(schema: Schema, value: Any) -> list[str]:
    """Return what is wrong with ``value``; nothing where the schema itself cannot be read."""
    found: Mapping[str, str] = {}
    with suppress(schemas.Unusable):  # whoever takes the value checks it again
        found = schemas.found_breaches(schema, value)
    return [f"{place}: {message}" if place else message for place, message in found.items()]
