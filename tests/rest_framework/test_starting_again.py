"""Which start is the same as an earlier one with its Idempotency-Key."""

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest

from django_workflows.models import WorkflowExecution
from django_workflows.steps import Call
from tests.rest_framework.test_starting import begin, parcel

__all__ = ["parcel"]  # a fixture

pytestmark = pytest.mark.django_db


@dataclass
class Line:
    sku: str
    id: UUID = field(default_factory=uuid4)


@pytest.fixture
def ordering(registered):
    @dataclass
    class Input:
        lines: list[Line]
        id: UUID = field(default_factory=uuid4)
        free: dict[str, Any] = field(default_factory=dict)
        gift: bool = False

    return registered("ordering", Input=Input, work=Call(lambda: 1))


def test_defaults_that_differ_each_time_are_no_other_input(root, ordering):
    body = {"workflow": "ordering", "input": {"lines": [{"sku": "lamp"}], "free": {"a": [1]}}}

    first, again = begin(root, body, "k"), begin(root, body, "k")

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["input"] == first.json()["input"]


@pytest.mark.parametrize(
    "other",
    [
        {"lines": [{"sku": "desk"}]},
        {"lines": [{"sku": "lamp"}, {"sku": "lamp"}]},
        {"lines": []},
        {"lines": [{"sku": "lamp", "id": "01a207d3-68da-72c9-b9a1-b3d66c04a39c"}]},
        {"lines": [{"sku": "lamp"}], "gift": True},
        # Of a mapping that has no fields of its own nothing is filled in.
        {"lines": [{"sku": "lamp"}], "free": {"a": 1}},
        {"lines": [{"sku": "lamp"}], "free": {"a": 1, "b": 2, "c": 3}},
        {"lines": [{"sku": "lamp"}], "free": {"a": 1, "b": 3}},
    ],
)
def test_what_is_sent_otherwise_is_another_input(root, ordering, other):
    body = {"lines": [{"sku": "lamp"}], "free": {"a": 1, "b": 2}}
    begin(root, {"workflow": "ordering", "input": body}, "k")

    reply = begin(root, {"workflow": "ordering", "input": other}, "k")

    assert (reply.status_code, reply.json()["code"]) == (409, "key_taken")


def test_untyped_input_has_no_defaults(root, registered):
    registered("any", work=Call(lambda: 1))
    given = {"workflow": "any", "input": {"a": 1, "b": {"$tuple": [1, {"c": 2}]}}}
    begin(root, given, "k")

    assert begin(root, given, "k").status_code == 200
    for other in ({"a": 1}, {**given["input"], "c": 3}, {**given["input"], "b": [1, {"c": 2}]}):
        assert begin(root, {"workflow": "any", "input": other}, "k").status_code == 409


def test_key_outlives_a_deploy_that_changes_the_defaults(root, parcel):
    body = {"workflow": "parcel", "input": {"order_id": 1}}
    begin(root, body, "k")
    # As an earlier version has filled it in, without a field that came later.
    WorkflowExecution.objects.update(input={"order_id": 1, "old": 1})

    assert begin(root, body, "k").status_code == 200
    assert begin(root, {**body, "input": {"order_id": 2}}, "k").status_code == 409


def test_delay_is_not_compared(root, parcel):
    body = {"workflow": "parcel", "input": {"order_id": 1}}
    first = begin(root, body, "k").json()["id"]

    reply = begin(root, {**body, "delay": 500}, "k")

    assert (reply.status_code, reply.json()["id"]) == (200, first)
    assert reply.json()["status"] == "pending"
