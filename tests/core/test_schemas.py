"""What JSON Schemas find in values."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from django_workflows.core import schemas

LINES = {
    "type": "object",
    "properties": {
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "note": {"type": "string"},
    },
    "required": ["lines"],
    "$defs": {"line": {"type": "object", "properties": {"price": {"type": "integer"}}}},
}


def test_value_that_fits_has_no_breaches():
    assert schemas.breaches(LINES, {"lines": [{"price": 1}], "note": "x"}) == {}


def test_breaches_are_told_by_place_all_at_once():
    found = schemas.breaches(LINES, {"lines": [{"price": 1}, {"price": "2"}], "note": 3})

    assert found == {
        "lines.1.price": "'2' is not of type 'integer'",
        "note": "3 is not of type 'string'",
    }


def test_breach_of_the_whole_has_no_place():
    assert schemas.breaches(LINES, {}) == {"": "'lines' is a required property"}


@pytest.mark.parametrize(
    "value",
    [
        date(2026, 11, 23),
        Decimal("1.50"),
        UUID("0198c0de-0000-7000-8000-000000000000"),
        timedelta(hours=1),
    ],
)
def test_what_json_has_not_is_shown_as_text(value):
    assert schemas.breaches({"type": "string"}, value) == {}
    assert schemas.breaches({"type": "object"}, value)


@pytest.mark.parametrize(
    ("schema", "problem"),
    [
        ({"type": "no such"}, "asks is no JSON Schema: 'no such' is not valid"),
        (
            {"properties": {"a": {"anyOf": [{"$ref": "https://example.com/a.json"}]}}},
            "asks refers to 'https://example.com/a.json': put that under $defs",
        ),
    ],
)
def test_schema_that_cannot_be_used_is_told(schema, problem):
    [told] = schemas.problems("asks", schema)

    assert told.startswith(problem)


def test_schema_that_can_be_used_has_no_problems():
    assert list(schemas.problems("asks", LINES)) == []
    assert list(schemas.problems("asks", None)) == []


def test_reference_to_what_is_not_there_lets_nothing_pass():
    schema = {"$ref": "#/$defs/lost"}

    assert list(schemas.problems("asks", schema)) == []
    assert "which is not in it" in schemas.breaches(schema, 1)[""]


@pytest.mark.parametrize("data", [{}, {"response_schema": "x"}, {"response_schema": {"type": 1}}])
def test_data_without_a_schema_lets_any_answer_pass(data):
    assert schemas.response_schema(data) is None
