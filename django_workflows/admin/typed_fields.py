"""Form fields for what HTML has no control for: JSON by its schema, and decimal numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, NoReturn

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from django_workflows.core import codec

Schema = Mapping[str, Any]

#: How many wrong places of a value written as JSON are named, and how much is said of each.
_MOST_PROBLEMS, _LONGEST_PROBLEM = 5, 300


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
            shown = str(error)[:_LONGEST_PROBLEM]
            raise ValidationError(_("This is not JSON: %(error)s") % {"error": shown}) from error
        problems = schema_problems(self.schema, parsed)
        if problems:
            raise ValidationError(problems)
        return parsed

    def prepare_value(self, value: Any) -> Any:
        """Return a default as text; what was typed stays as it is."""
        if value is None or isinstance(value, str):
            return value
        return json.dumps(codec.encode(value), indent=2, ensure_ascii=False)


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
    found: list[str] = []
    with suppress(SchemaError, Unresolvable, RecursionError, re.error):
        # An empty registry: nothing is fetched for a reference to elsewhere.
        for error in Draft202012Validator(dict(schema), registry=Registry()).iter_errors(value):
            place = ".".join(str(part) for part in error.absolute_path)
            message = f"{place}: {error.message}" if place else error.message
            found.append(message[:_LONGEST_PROBLEM])
            if len(found) == _MOST_PROBLEMS:
                break
    return found
