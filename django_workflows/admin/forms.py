"""Forms made from a JSON Schema: of a workflow's ``Input``, or of the answer to a wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from django_workflows.admin.schema_fields import field_for
from django_workflows.admin.typed_fields import Blank
from django_workflows.core.schemas import response_schema
from django_workflows.core.waits import Wait, WaitKind
from django_workflows.exceptions import InputError, ResponseError
from django_workflows.models import WorkflowWait

__all__ = ["AnswerForm", "SchemaForm", "answer_form", "form_for_schema"]

#: The field of a form whose schema is no mapping of properties.
WHOLE = "value"

#: The field for what is said with a decision.
COMMENT = "comment"


class SchemaForm(forms.Form):
    """
    A form of form_for_schema().

    Once ``is_valid()`` said yes, ``value()`` is what was filled in. What the workflow then refuses
    is shown by ``refuse()``.
    """

    #: What each property is where its field was left blank.
    blanks: Mapping[str, Any] = {}

    #: The value is that of the field WHOLE, no mapping of properties.
    is_whole = False

    def value(self) -> Any:
        """Return the mapping of the properties, without those that the workflow fills; or WHOLE."""
        if self.is_whole:
            value = self.cleaned_data[WHOLE]
            return None if value is Blank.LEFT_OUT else value
        values = {name: self._filled(name, blank) for name, blank in self.blanks.items()}
        return {name: value for name, value in values.items() if value is not Blank.LEFT_OUT}

    def _filled(self, name: str, blank: Any) -> Any:
        value = self.cleaned_data[name]
        return blank if value is None or value == "" or value is Blank.LEFT_OUT else value

    def refuse(self, error: InputError | ResponseError) -> None:
        """Put each of the errors at its field; what has no field, above the form."""
        for place, message in error.errors.items():
            name = self._field_at(place)
            self.add_error(name, message if place in {name, ""} else f"{place}: {message}")

    def _field_at(self, place: str) -> str | None:
        """Return the field that a path such as ``lines.0.quantity`` begins with."""
        if self.is_whole:
            return WHOLE
        heads = [
            name
            for name in self.fields
            if place == name or place.startswith((f"{name}.", f"{name}["))
        ]
        return max(heads, key=len, default=None)


def form_for_schema(schema: Mapping[str, Any], *, label: Any = None) -> type[SchemaForm]:
    """
    Return a form class with a field for each property of ``schema``, a JSON Schema.

    Text, numbers, booleans, dates, durations, enums and UUIDs have fields of their kind. Lists,
    mappings and what else there is are written as JSON, and checked against their part of the
    schema. A schema without properties is one such field, named ``label``.
    """
    properties = schema.get("properties")
    if not properties:
        field, _blank = field_for(schema, schema, label or _("Value"), required=False)
        return _form_class({WHOLE: field}, is_whole=True)
    required = schema.get("required", ())
    made = {
        name: field_for(part, schema, _label(name, part), required=name in required)
        for name, part in _parts(properties)
    }
    blanks = {name: blank for name, (_field, blank) in made.items()}
    return _form_class({name: field for name, (field, _blank) in made.items()}, blanks=blanks)


def _form_class(fields: Mapping[str, forms.Field], **body: Any) -> type[SchemaForm]:
    form = type("PropertiesForm", (SchemaForm,), body)
    # Not in the class body, where a property could take the place of a method.
    form.base_fields = dict(fields)  # type: ignore[attr-defined]  # Django's documented name
    return form


def _parts(properties: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, part in properties.items():
        # True is a schema as well, which allows anything.
        yield name, part if isinstance(part, Mapping) else {}


def _label(name: str, part: Mapping[str, Any]) -> str:
    return str(part.get("title") or name.replace("_", " ").capitalize())


# Answers ----------------------------------------------------------------------------------------


class AnswerForm:
    """
    The form under an approval, or a halt with a schema: what its answer asks for, and a comment.

    Without a schema the comment is the answer. With one, the answer is what the schema describes; a
    comment goes into it as ``comment`` where it is a mapping that may have one, and is all that a
    rejection needs. A halt whose answer takes none has no field for it.
    """

    def __init__(self, wait: Wait | WorkflowWait, data: Mapping[str, Any] | None = None) -> None:
        self.wait_id = wait.id
        schema = response_schema(wait.data)
        self.typed = None
        if schema is not None:
            self.typed = form_for_schema(schema, label=_("Answer"))(data, prefix=f"wait-{wait.id}")
        self.takes_comment = schema is None or _may_have_comment(schema)
        # By a prefix of its own: the answer may have a property of the same name.
        self.said = CommentForm(data, prefix=f"said-{wait.id}")
        if not self.takes_comment and wait.kind != WaitKind.APPROVAL:
            del self.said.fields[COMMENT]
        elif not self.takes_comment:
            self.said.fields[COMMENT].label = _("Reason, if you reject")

    @property
    def fields(self) -> list[forms.BoundField]:
        """Return the fields to show, the comment last."""
        return [*(self.typed or ()), *self.said]

    @property
    def errors(self) -> list[str]:
        """Return what is wrong with the answer as a whole."""
        return [str(one) for one in self.typed.non_field_errors()] if self.typed else []

    def is_valid(self, *, approved: bool) -> bool:
        """Say whether the answer can be given. See AnswerForm for what a rejection needs."""
        typed_is_valid = not approved or self.typed is None or self.typed.is_valid()
        return self.said.is_valid() and typed_is_valid

    def refuse(self, error: ResponseError) -> None:
        """Put what api.resume() says of the answer at its fields."""
        if self.typed is not None:
            self.typed.refuse(error)

    def response(self, *, approved: bool) -> Any:
        """Return what to give to api.resume()."""
        comment = self.said.cleaned_data.get(COMMENT) or None
        if self.typed is None or not approved:
            return comment
        value = self.typed.value()
        if comment and self.takes_comment and isinstance(value, dict):
            value = {**value, COMMENT: comment}
        return value


class CommentForm(forms.Form):
    """What is said with a decision."""

    comment = forms.CharField(
        label=_("Comment"),
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 1, "class": "vLargeTextField"}),
    )


def answer_form(wait: Wait | WorkflowWait, data: Mapping[str, Any] | None = None) -> AnswerForm:
    """Return the form for the answer to a wait, filled with ``data`` where it is given."""
    return AnswerForm(wait, data)


def _may_have_comment(schema: Mapping[str, Any]) -> bool:
    properties = schema.get("properties") or {}
    return (
        bool(properties)
        and COMMENT not in properties
        and schema.get("additionalProperties") is not False
    )
