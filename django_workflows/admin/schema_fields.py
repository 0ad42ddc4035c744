"""Which form field a part of a JSON Schema has, and what it is worth where it is left blank."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import escape
from django.utils.translation import gettext_lazy as _

from django_workflows.admin.typed_fields import Blank, DecimalText, JSONText, Schema

#: Where a "$ref" of pydantic's points to.
_DEFS = "#/$defs/"

#: References that lead to references are followed so far.
_DEEPEST = 10

#: Schemas that allow anything and nothing, written as mappings.
_TRUE_OR_FALSE: Mapping[bool, Schema] = {True: {}, False: {"not": {}}}

#: Texts that may be longer are written in several lines.
_ONE_LINE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a schema, told flat, as a field is made of it."""

    known: Schema
    nullable: bool
    definitions: Schema  # the "$defs" of the whole
    options: dict[str, Any]  # what every field takes


def field_for(
    part: Schema, whole: Schema, label: Any, *, required: bool
) -> tuple[forms.Field, Any]:
    """
    Return the field for ``part`` of the schema ``whole``, and what it is where left blank.

    A blank one is null where the schema allows that, else Blank.LEFT_OUT, so that the default of
    the workflow fills it; a text with a default is as empty as it was left.
    """
    known, nullable = _flat(part, whole)
    kind = _kind(known)
    blank: Any = Blank.LEFT_OUT
    if nullable:
        blank = None
    elif kind == "text" and "default" in known:
        blank = ""
    options: dict[str, Any] = {
        "label": label,
        "required": required and not nullable,
        # Django's own templates print it as it is, so it is escaped here.
        "help_text": escape(known.get("description", "")),
        "initial": known.get("default"),
    }
    definitions = whole.get("$defs", {})
    made = Part(known=known, nullable=nullable, definitions=definitions, options=options)
    return _MAKERS[kind](made), blank


def _flat(part: Schema, whole: Schema) -> tuple[dict[str, Any], bool]:
    """Return ``part`` with what it refers to, without null, and whether it allows that."""
    flat = dict(part)
    nullable = False
    for _depth in range(_DEEPEST):
        if flat.get("$ref", "").startswith(_DEFS):
            target = whole.get("$defs", {}).get(flat.pop("$ref")[len(_DEFS) :], {})
            flat = {**(target if isinstance(target, Mapping) else _TRUE_OR_FALSE[target]), **flat}
            continue
        choices = flat.get("anyOf") or flat.get("oneOf") or ()
        others = [one for one in choices if one != {"type": "null"}]
        nullable = nullable or len(others) < len(choices)
        if len(others) != 1 or not isinstance(others[0], Mapping):
            break
        rest = {key: value for key, value in flat.items() if key not in {"anyOf", "oneOf"}}
        flat = {**others[0], **rest}
    kinds = flat.get("type")
    if isinstance(kinds, list) and "null" in kinds and len(kinds) == len(["null", "one other"]):
        flat["type"] = next(kind for kind in kinds if kind != "null")
        nullable = True
    return flat, nullable


def _kind(known: Schema) -> str:
    """Return the name of the maker for a flat schema."""
    if "enum" in known or "const" in known:
        return "choice"
    kinds = [one.get("type") for one in known.get("anyOf", ()) if isinstance(one, Mapping)]
    if sorted(map(str, kinds)) == ["number", "string"]:
        return "decimal"  # so pydantic says it
    kind = known.get("type")
    if kind == "string":
        shape = str(known.get("format", ""))
        return shape if shape in _FORMATS else "text"
    return kind if isinstance(kind, str) and kind in _NUMBERS else "json"


def _text(part: Part) -> forms.Field:
    longest = part.known.get("maxLength")
    widget: forms.Widget = forms.TextInput(attrs={"class": "vTextField"})
    if part.known.get("format") == "textarea" or (longest or 0) > _ONE_LINE:
        widget = forms.Textarea(attrs={"class": "vLargeTextField", "rows": 4})
    return forms.CharField(
        max_length=longest,
        min_length=part.known.get("minLength"),
        strip=False,
        widget=widget,
        **part.options,
    )


def _integer(part: Part) -> forms.Field:
    least, most = part.known.get("minimum"), part.known.get("maximum")
    return forms.IntegerField(min_value=least, max_value=most, **part.options)


def _number(part: Part) -> forms.Field:
    return forms.FloatField(
        min_value=part.known.get("minimum"),
        max_value=part.known.get("maximum"),
        widget=forms.NumberInput(attrs={"step": "any"}),
        **part.options,
    )


def _boolean(part: Part) -> forms.Field:
    if part.nullable:
        default = part.options["initial"]
        initial = default if isinstance(default, bool) else None  # the control shows no other
        return forms.NullBooleanField(**part.options | {"initial": initial})
    # Not ticked is an answer: no.
    return forms.BooleanField(**part.options | {"required": False})


def _choice(part: Part) -> forms.Field:
    known, options = part.known, part.options
    values = known["enum"] if "enum" in known else [known["const"]]
    by_text = {_choice_text(value): value for value in values if value is not None}
    if options["initial"] is not None:
        options["initial"] = _choice_text(options["initial"])
    is_chosen = options["initial"] in by_text and not part.nullable
    blank = [] if is_chosen else [("", "---------")]
    return forms.TypedChoiceField(
        choices=[*blank, *((text, text) for text in by_text)],
        coerce=by_text.__getitem__,
        empty_value=None,
        **options,
    )


def _choice_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _json(part: Part) -> forms.Field:
    schema: Schema = {**part.known, "$defs": part.definitions}
    if part.nullable:
        schema = {"anyOf": [part.known, {"type": "null"}], "$defs": part.definitions}
    kind = part.known.get("type")
    hint = _HINTS.get(kind if isinstance(kind, str) else "", _("Written as JSON."))
    return JSONText(
        schema=schema, **part.options | {"help_text": part.options["help_text"] or hint}
    )


_HINTS = {
    "array": _("A list, written as JSON: [1, 2, 3]"),
    "object": _("A mapping, written as JSON: {&quot;name&quot;: &quot;value&quot;}"),
}


def _native(
    field: type[forms.Field], widget: Callable[..., forms.Widget], kind: str, shape: str
) -> Callable[[Part], forms.Field]:
    """Return the maker of a field that the browser has a control for."""

    def make(part: Part) -> forms.Field:
        # A step of one second, or of one day: a browser would refuse a time with seconds else.
        control = widget(format=shape, attrs={"type": kind, "step": "1"})
        made = field(widget=control, **part.options)
        # A default that the control would not show: it may be of any kind.
        with suppress(ValidationError, AttributeError, TypeError):
            made.initial = made.to_python(part.options["initial"])
        return made

    return make


def _simple(field: type[forms.Field]) -> Callable[[Part], forms.Field]:
    return lambda part: field(**part.options)


_FORMATS: dict[str, Callable[[Part], forms.Field]] = {
    "date": _native(forms.DateField, forms.DateInput, "date", "%Y-%m-%d"),
    "date-time": _native(
        forms.DateTimeField, forms.DateTimeInput, "datetime-local", "%Y-%m-%dT%H:%M:%S"
    ),
    "duration": _simple(forms.DurationField),
    "email": _simple(forms.EmailField),
    "time": _native(forms.TimeField, forms.TimeInput, "time", "%H:%M:%S"),
    "uuid": _simple(forms.UUIDField),
}

_NUMBERS: dict[str, Callable[[Part], forms.Field]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
}

_MAKERS: dict[str, Callable[[Part], forms.Field]] = {
    **_FORMATS,
    **_NUMBERS,
    "choice": _choice,
    "decimal": lambda part: DecimalText(**part.options),
    "json": _json,
    "text": _text,
}
