from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from django.forms import Textarea
from django.template.loader import render_to_string
from pydantic import Field, TypeAdapter

from django_workflows.admin.forms import answer_form, form_for_schema
from django_workflows.core.inputs import DataclassInput
from django_workflows.core.schemas import RESPONSE_SCHEMA
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import InputError
from tests.factories import WaitFactory

SCRIPT = "<script>alert(1)</script>"
SOME_ID = "0197c3a5-0000-7000-8000-000000000001"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Line:
    product: str
    quantity: int = 1


@dataclass
class Everything:
    text: str
    whole: int
    real: float
    exact: Decimal
    day: date
    moment: datetime
    hour: time
    lasts: timedelta
    key: UUID
    colour: Colour
    mode: Literal["fast", 1]
    lines: list[Line]
    line: Line
    anything: Any
    yes: bool = False
    maybe: bool | None = None
    nothing: int | None = None
    greeting: str = "hello"
    price: Decimal = Decimal("1.50")
    other: Colour = Colour.BLUE
    tags: list[str] = field(default_factory=list)
    bounded: Annotated[int, Field(ge=1, le=5, description=SCRIPT)] = 2
    when: datetime = datetime(2026, 1, 31, 12, 30, tzinfo=UTC)


FILLED = {
    "text": " two words ",
    "whole": "7",
    "real": "1.5",
    "exact": "10.10",
    "day": "2026-01-31",
    "moment": "2026-01-31T10:11:12",
    "hour": "10:11:12",
    "lasts": "90",
    "key": SOME_ID,
    "colour": "red",
    "mode": "1",
    "lines": '[{"product": "cup", "quantity": 3}]',
    "line": '{"product": "pot"}',
    "anything": "[1, null]",
    "yes": "on",
    "maybe": "false",
    "nothing": "",
    "greeting": "",
    "price": "",
    "other": "red",
    "tags": "",
    "bounded": "",
    "when": "",
}


@pytest.fixture
def spec():
    return DataclassInput(Everything)


def form_of(kind, data=None, **options):
    return form_for_schema(TypeAdapter(kind).json_schema())(data, **options)


def test_what_is_filled_in_is_what_the_workflow_takes(spec):
    form = form_for_schema(spec.schema())(FILLED)

    assert form.is_valid(), form.errors
    cleaned = spec.clean("everything", form.value())

    assert cleaned["text"] == " two words "
    assert cleaned["exact"] == Decimal("10.10")
    assert cleaned["day"] == date(2026, 1, 31)
    assert cleaned["hour"] == time(10, 11, 12)
    assert cleaned["lasts"] == timedelta(seconds=90)
    assert cleaned["key"] == UUID(SOME_ID)
    assert cleaned["colour"] == Colour.RED
    assert cleaned["mode"] == 1
    assert cleaned["lines"] == [{"product": "cup", "quantity": 3}]
    assert cleaned["anything"] == [1, None]
    assert cleaned["yes"] is True
    assert cleaned["maybe"] is False
    assert cleaned["other"] == Colour.RED
    assert cleaned["moment"].tzinfo is not None


def test_blank_fields_are_null_or_filled_by_the_workflow(spec):
    form = form_for_schema(spec.schema())(FILLED)
    assert form.is_valid()

    value = form.value()

    assert value["nothing"] is None
    assert value["greeting"] == ""  # it was shown, and cleared
    assert {"price", "tags", "bounded", "when"}.isdisjoint(value)
    assert spec.clean("everything", value)["price"] == Decimal("1.50")


def test_each_field_has_the_control_of_its_kind(spec, settings):
    settings.TIME_ZONE = "UTC"
    form = form_for_schema(spec.schema())()

    widgets = {bound.name: bound.field.widget for bound in form}
    shown = {
        name: widget.attrs.get("type") or getattr(widget, "input_type", None)
        for name, widget in widgets.items()
    }

    assert shown["day"] == "date"
    assert shown["moment"] == "datetime-local"
    assert shown["hour"] == "time"
    assert shown["whole"] == "number"
    assert shown["yes"] == "checkbox"
    assert shown["colour"] == "select"
    assert isinstance(form["lines"].field.widget, Textarea)
    assert 'min="1"' in str(form["bounded"])
    assert 'value="2026-01-31T12:30:00"' in str(form["when"])


def test_missing_ones_are_told_at_their_fields(spec):
    form = form_for_schema(spec.schema())({})

    assert not form.is_valid()
    assert {"text", "whole", "lines", "key"} <= set(form.errors)
    assert not {"yes", "nothing", "price"} & set(form.errors)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[1", "This is not JSON"),
        ("NaN", "NaN is no number"),
        ("[" * 100_000, "This is not JSON"),
        ("9" * 5_000, "This is not JSON"),
        ('{"product": 1}', "is not of type 'array'"),
        ('[{"quantity": 1}]', "0: 'product' is a required property"),
    ],
)
def test_what_is_no_such_json_is_refused_with_its_place(text, error):
    lines = TypeAdapter(list[Line]).json_schema()
    schema = {"properties": {"lines": lines}, "$defs": lines["$defs"]}

    form = form_for_schema(schema)({"lines": text})

    assert not form.is_valid()
    assert error in str(form.errors["lines"][0])


def test_only_the_first_problems_are_told():
    schema = {"properties": {"a": {"type": "array", "items": {"type": "integer"}}}}

    form = form_for_schema(schema)({"a": '["x","x","x","x","x","x","x"]'})

    assert len(form.errors["a"]) == 5


def test_reference_to_elsewhere_is_not_followed():
    schema = {"properties": {"a": {"type": "array", "items": {"$ref": "http://127.0.0.1:9/x"}}}}

    form = form_for_schema(schema)({"a": "[1]"})

    assert form.is_valid()


def test_schema_without_properties_is_one_field():
    form = form_for_schema({"type": "object"}, label="Input")({"value": '{"a": 1}'})

    assert form.is_valid()
    assert form.value() == {"a": 1}
    assert form["value"].label == "Input"


def test_whole_value_left_blank_is_none():
    form = form_for_schema({"type": "object"})({"value": ""})

    assert form.is_valid()
    assert form.value() is None


def test_refused_input_is_told_at_its_field():
    form = form_of(Everything, FILLED)
    assert form.is_valid()

    form.refuse(
        InputError("w", {"lines.0.quantity": "too many", "whole": "odd", "input": "too large"})
    )

    assert form.errors["lines"] == ["lines.0.quantity: too many"]
    assert form.errors["whole"] == ["odd"]
    assert form.non_field_errors() == ["input: too large"]


def test_refused_whole_is_told_at_the_one_field():
    form = form_for_schema({"type": "object"})({"value": '{"a": 1}'})
    assert form.is_valid()

    form.refuse(InputError("w", {"a": "cannot be kept"}))

    assert form.errors["value"] == ["a: cannot be kept"]


def test_hostile_names_and_texts_are_escaped():
    names = {
        SCRIPT: {"type": "string", "title": SCRIPT, "description": SCRIPT, "default": SCRIPT},
        "fields": {"enum": [SCRIPT]},
        "clean": {"type": "boolean"},
    }
    form = form_for_schema({"properties": names})({"fields": "no such"})

    assert not form.is_valid()
    assert "<script>" not in form.as_p()
    assert form["clean"].name == "clean"


def test_nullable_types_enums_and_constants():
    properties = {
        "number": {"type": ["number", "null"]},
        "one": {"const": 3},
        "choice": {"enum": ["a", None], "default": "a"},
        "open": True,
        "again": {"$ref": "#/$defs/Loop"},
        "many": {"type": ["number", "string", "null"]},
        "text": {"type": "string", "format": "textarea"},
        "ref": {"anyOf": [{"type": "object"}, {"type": "null"}]},
    }
    schema = {"properties": properties, "$defs": {"Loop": {"$ref": "#/$defs/Loop"}}}
    data = {"number": "2.5", "one": "3", "choice": "", "open": '"x"', "ref": "null"}

    form = form_for_schema(schema)(data)

    assert form.is_valid(), form.errors
    assert form.value() == {"number": 2.5, "one": 3, "open": "x", "ref": None}
    assert isinstance(form["text"].field.widget, Textarea)


def test_decimal_that_is_none_is_left_to_the_workflow():
    form = form_of(Everything, FILLED | {"exact": "many", "price": "NaN"})
    assert form.is_valid()

    with pytest.raises(InputError) as refused:
        DataclassInput(Everything).clean("everything", form.value())

    assert {place.partition(".")[0] for place in refused.value.errors} == {"exact", "price"}


def test_defaults_of_structures_are_shown_as_json():
    schema = {"properties": {"a": {"type": "array", "default": [Decimal("1.5"), "ä"]}}}

    assert "ä" in str(form_for_schema(schema)()["a"])


# Answers


def answered(wait, comment="", **fields):
    data = {f"wait-{wait.id}-{name}": value for name, value in fields.items()}
    return answer_form(wait, data | {f"said-{wait.id}-comment": comment})


def test_comment_is_the_answer_where_nothing_else_is_asked():
    wait = WaitFactory()

    form = answered(wait, comment="fine")

    assert form.is_valid(approved=True)
    assert form.response(approved=True) == "fine"
    assert [bound.name for bound in answer_form(wait).fields] == ["comment"]
    assert form.errors == []


def test_no_comment_is_no_answer():
    form = answered(WaitFactory())

    assert form.is_valid(approved=False)
    assert form.response(approved=False) is None


AMOUNT = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}


@pytest.mark.parametrize(
    "data", [{RESPONSE_SCHEMA: AMOUNT}, {RESPONSE_SCHEMA: AMOUNT, "prompt": "?"}]
)
def test_typed_answer_with_its_comment(data):
    wait = WaitFactory(data=data)

    form = answered(wait, amount="7", comment="fine")

    assert form.is_valid(approved=True)
    assert form.response(approved=True) == {"amount": 7, "comment": "fine"}
    assert [bound.name for bound in form.fields] == ["amount", "comment"]


def test_rejection_needs_no_typed_answer():
    form = answered(WaitFactory(data={RESPONSE_SCHEMA: AMOUNT}), comment="no")

    assert not form.is_valid(approved=True)
    assert form.is_valid(approved=False)
    assert form.response(approved=False) == "no"


def test_answer_that_may_have_no_comment_has_none():
    schema = AMOUNT | {"additionalProperties": False}
    wait = WaitFactory(kind=WaitKind.APPROVAL, data={RESPONSE_SCHEMA: schema})

    form = answered(wait, amount="7", comment="fine")

    assert form.is_valid(approved=True)
    assert form.response(approved=True) == {"amount": 7}
    assert str(form.fields[-1].label) == "Reason, if you reject"


def test_halt_whose_answer_has_no_comment_shows_no_field_for_it():
    schema = AMOUNT | {"additionalProperties": False}

    form = answered(WaitFactory(data={RESPONSE_SCHEMA: schema}), amount="7")

    assert form.is_valid(approved=True)
    assert form.response(approved=True) == {"amount": 7}
    assert [bound.name for bound in form.fields] == ["amount"]


def test_property_named_comment_has_a_field_of_its_own():
    schema = {"properties": {"comment": {"type": "string"}}, "required": ["comment"]}
    wait = WaitFactory(kind=WaitKind.APPROVAL, data={RESPONSE_SCHEMA: schema})
    own, reason = (bound.html_name for bound in answer_form(wait).fields)

    form = answer_form(wait, {own: "as asked", reason: "no"})

    assert form.is_valid(approved=True)
    assert form.response(approved=True) == {"comment": "as asked"}
    assert form.response(approved=False) == "no"


def test_schema_that_is_none_asks_for_a_comment_only():
    form = answer_form(WaitFactory(data={RESPONSE_SCHEMA: {"type": "no such"}}))

    assert form.typed is None


@pytest.mark.parametrize("template", ["execution_fields.html", "pages_field.html"])
def test_help_is_escaped_once_wherever_it_stands(template):
    known = {"plain": {"type": "object"}, "told": {"type": "object", "description": SCRIPT}}
    form = form_for_schema({"properties": known})()

    shown = "".join(
        render_to_string(f"admin/django_workflows/{template}", {"field": field, "fields": [field]})
        for field in form
    )

    assert "A mapping, written as JSON: {&quot;name&quot;: &quot;value&quot;}" in shown
    assert "&lt;script&gt;" in shown
    assert "&amp;" not in shown
    assert "<script>" not in shown
