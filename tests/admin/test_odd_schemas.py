"""A form is made of any valid schema: one that raises would take the inbox from everybody."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator

from django_workflows.admin.forms import form_for_schema

NAMES = st.sampled_from(["a", "b", "", "x-y", "comment", "clean"])
TEXTS = st.sampled_from(["", "a", "<b>", "2026-01-31"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),  # an infinite one may be the default of an input
    TEXTS,
    st.sampled_from([Decimal("1.5"), date(2026, 1, 31), b"x"]),  # a stored schema keeps its types
)
VALUES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(TEXTS, LEAVES, max_size=2)
TYPES = st.sampled_from(["string", "number", "integer", "boolean", "null", "object", "array"])
SIZES = st.sampled_from([0, 1, 5.0, 300, 10**30])


def larger(parts):
    by_name = st.dictionaries(NAMES, parts, max_size=3)
    some = st.lists(parts, min_size=1, max_size=3)
    optional = {
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=3, unique=True),
        "format": st.sampled_from(["date", "date-time", "duration", "time", "uuid", "textarea"]),
        "default": VALUES,
        "enum": st.lists(VALUES, max_size=3),
        "const": VALUES,
        "title": TEXTS,
        "minimum": st.integers() | st.floats(allow_nan=False),
        "minLength": SIZES,
        "maxLength": SIZES,
        "properties": by_name,
        "required": st.lists(NAMES, max_size=2, unique=True),
        "$defs": by_name,
        "anyOf": some,
        "oneOf": some,
        "items": parts,
        "$ref": st.sampled_from(["#", "#/$defs/a", "#/$defs/b", "#/$defs/a/properties/b"]),
    }
    return st.booleans() | st.fixed_dictionaries({}, optional=optional)


PARTS = larger(st.booleans() | st.just({}))
SCHEMAS = st.builds(
    lambda properties, definitions: {"properties": properties, "$defs": definitions},
    st.dictionaries(NAMES, larger(PARTS), max_size=3),
    st.dictionaries(NAMES, PARTS, max_size=3),
)


def fill(schema, text):
    """Show the form of a schema, fill in ``text`` everywhere, and show what became of it."""
    form = form_for_schema(schema)
    form(prefix="w").as_p()
    bound = form({f"w-{name}": text for name in form.base_fields}, prefix="w")
    if bound.is_valid():
        bound.value()
    return bound.as_p()


@given(SCHEMAS, st.sampled_from(["", "1", "x", "[1]", "null", "on", "2026-01-31"]))
def test_any_valid_schema_has_a_form(schema, text):
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError:
        return

    fill(schema, text)


@pytest.mark.parametrize(
    "part",
    [
        {"$ref": "#/$defs/anything"},
        {"$ref": "#/$defs/nothing"},
        {"anyOf": [{"$ref": "#/$defs/anything"}, {"type": "null"}]},
        {"const": Decimal("1.5")},
        {"enum": [date(2026, 1, 31)], "default": date(2026, 1, 31)},
        {"type": "string", "format": "date", "default": []},
        {"type": "string", "format": "time", "default": 1},
        {"type": ["boolean", "null"], "default": []},
    ],
)
def test_parts_that_have_failed(part):
    schema = {"properties": {"a": part}, "$defs": {"anything": True, "nothing": False}}

    assert 'name="w-a"' in fill(schema, "1")
