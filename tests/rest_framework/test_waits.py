"""What is shown of an open wait."""

from decimal import Decimal

import pytest

from django_workflows import run
from django_workflows.steps import Approval, Halt

pytestmark = pytest.mark.django_db


def test_schema_of_an_answer_is_shown_as_it_is(root, registered):
    schema = {
        "properties": {"price": {"$ref": "#/$defs/price"}},
        "$defs": {"price": {"enum": [Decimal("9.90")]}},
    }
    registered("typed", ask=Halt("?", data={"of": "x"}, response_schema=schema))
    registered("asked", ask=Approval("?", response_schema=schema))
    halted, asked = run("typed"), run("asked")

    (wait,) = root.get(f"/api/executions/{halted.execution_id}/").json()["waits"]
    (approval,) = root.get("/api/approvals/").json()["results"]

    plain = schema | {"$defs": {"price": {"enum": ["9.90"]}}}
    assert wait["response_schema"] == approval["response_schema"] == plain
    assert wait["data"] == {"reason": "?", "of": "x"}
    assert "response_schema" not in approval["data"]
    assert approval["execution"]["id"] == asked.execution_id


def test_data_that_has_the_name_of_a_schema_stays_where_it_is(root, registered):
    registered("named", ask=Halt("?", data={"response_schema": {"$ref": "#/lost"}}))

    (wait,) = root.get(f"/api/executions/{run('named').execution_id}/").json()["waits"]

    assert wait["response_schema"] is None
    assert wait["data"]["response_schema"] == {"$dict": {"$ref": "#/lost"}}
