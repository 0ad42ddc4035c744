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


class Loop(list):
    """A list that has itself in it."""

    def __init__(self):
        super().__init__([self])


def nested(key, depth):
    schema = {}
    for _ in range(depth):
        schema = {key: schema}
    return schema


def test_value_that_fits_has_no_breaches():
    assert schemas.breaches(LINES, {"lines": [{"price": 1}], "note": "x"}) == {}


def test_breaches_are_told_by_place_all_at_once():
    found = schemas.breaches(LINES, {"lines": [{"price": 1}, {"price": "2"}], "note": 3})

    assert found == {
        "lines.1.price": "'2' is not of type 'integer'",
        "note": "3 is not of type 'string'",
    }


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("date", "2026-12-01", "x"),
        ("email", "a@example.com", "a"),
        ("uuid", "0198c0de-0000-7000-8000-000000000000", "7"),
    ],
)
def test_formats_are_checked(name, right, wrong):
    schema = {"type": "string", "format": name}

    assert schemas.breaches(schema, right) == {}
    assert "is not a" in schemas.breaches(schema, wrong)[""]


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
        ({"$ref": "#/$defs/lost"}, "asks refers to '#/$defs/lost', which is not in it"),
        ({"allOf": [{"$ref": "#/allOf/x"}]}, "asks refers to '#/allOf/x', which is not in it"),
        ({"$ref": "#/type", "type": "string"}, "asks refers to '#/type', which is no schema"),
        ({"anyOf": [{"$ref": "#"}]}, "asks refers to itself at once"),
        ({"$ref": "#/x", "x": {"allOf": 5}}, "asks is no JSON Schema: 'int' object is not iter"),
        ({"pattern": "("}, "asks is no JSON Schema: '(' is not a 'regex'"),
        (nested("not", 2_000), "asks is no JSON Schema: it nests too deeply"),
        ({"x": nested("x", 2_000)}, "asks is no JSON Schema: it nests too deeply"),
    ],
)
def test_schema_that_cannot_be_used_is_told(schema, problem):
    [told] = schemas.problems("asks", schema)

    assert told.startswith(problem)


def test_schema_that_can_be_used_has_no_problems():
    assert list(schemas.problems("asks", LINES)) == []
    assert list(schemas.problems("asks", None)) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"const": {"$ref": "#/lost"}},  # a value
        {"properties": {"$ref": {"type": "string"}, "default": {"minimum": 1}}},  # names
        {"$defs": {"a": {"$anchor": "here"}, "b": {"$ref": "#here"}}},
        {"$ref": "b.json#/$defs/c", "$defs": {"b": {"$id": "b.json", "$defs": {"c": True}}}},
        # Within a part with an id, "#" is that part.
        {"$defs": {"b": {"$id": "b.json", "items": {"$ref": "#/$defs/c"}, "$defs": {"c": {}}}}},
        {"properties": {"next": {"$ref": "#"}}},  # of lists in lists there is an end
        {"multipleOf": 0.5},
    ],
)
def test_references_inside_the_schema_are_no_problem(schema):
    assert list(schemas.problems("asks", schema)) == []


def test_bytes_are_shown_in_base64():
    assert schemas.breaches({"const": "_w=="}, b"\xff") == {}


def test_few_breaches_are_told_and_little_of_each():
    schema = {"items": {"type": "integer"}}
    values = ["x" * 10_000] * 1_000

    found = schemas.breaches(schema, values)

    assert list(found) == ["0", "1", "2", "3", "4"]
    assert {len(message) for message in found.values()} == {300}
    [(place, message)] = schemas.breaches({"maxProperties": 0}, {"k" * 999: 1}).items()
    assert (place, len(message)) == ("", 300)
    assert len(*schemas.breaches({"additionalProperties": {"type": "null"}}, {"k" * 999: 1})) == 300


@pytest.mark.parametrize(
    ("values", "is_unique"),
    [
        ([1, 1.0], False),
        ([1, True, "1", None], True),
        ([{"a": 1, "b": [True]}, {"b": [True], "a": 1.0}], False),
        ([{"a": 1}, {"a": True}, [["a", 1]], []], True),
        ([{"id": number} for number in range(20_000)], True),  # each with each would take minutes
    ],
)
def test_unique_items(values, is_unique):
    assert (schemas.breaches({"uniqueItems": True}, values) == {}) == is_unique
    assert schemas.breaches({"uniqueItems": False}, values) == {}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("x", {"one": "not valid under any of the given schemas", "any": "not valid under any of"}),
        (1.5, {}),
        (1, {"one": "1 is valid under 2 of the given schemas"}),
    ],
)
def test_choices(value, told):
    kinds = [{"type": "integer"}, {"type": "number"}]
    schema = {"properties": {"one": {"oneOf": kinds}, "any": {"anyOf": kinds}}}

    found = schemas.breaches(schema, {"one": value, "any": value})

    assert found.keys() == told.keys()
    assert all(part in found[place] for place, part in told.items())


@pytest.mark.parametrize(
    ("schema", "value", "told"),
    [
        ({"$ref": "#/$defs/lost"}, 1, "which is not in it"),
        ({"$ref": "#"}, 1, "nests too deeply, or its schema refers to itself"),
        ({}, Loop(), "cannot be read as JSON"),
        ({"multipleOf": 0.5}, 10**400, "cannot be compared with its schema"),
        ({"pattern": "("}, "x", "cannot be compared with its schema"),
        ({"$ref": "#/type", "type": "string"}, "x", "cannot be compared with its schema"),
    ],
)
def test_schema_that_cannot_be_asked_lets_nothing_pass(schema, value, told):
    assert told in schemas.breaches(schema, value)[""]


@pytest.mark.parametrize("data", [{}, {"response_schema": "x"}, {"response_schema": {"type": 1}}])
def test_data_without_a_schema_lets_any_answer_pass(data):
    assert schemas.response_schema(data) is None
