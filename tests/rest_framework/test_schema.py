"""The OpenAPI document: complete, valid, and without a warning."""

import json

import pytest
from django.core.management import call_command

VERBS = ["resume", "approve", "reject", "retry", "skip", "cancel", "fork"]

PATHS = {
    "/api/workflows/": ["get"],
    "/api/workflows/{id}/": ["get"],
    "/api/executions/": ["get", "post"],
    "/api/executions/{id}/": ["get"],
    "/api/executions/{id}/entries/": ["get"],
    "/api/executions/{id}/events/": ["get"],
    **{f"/api/executions/{{id}}/{verb}/": ["post"] for verb in VERBS},
    "/api/approvals/": ["get"],
    "/api/approvals/{id}/": ["get"],
    "/api/approvals/{id}/decide/": ["post"],
    "/api/events/": ["post"],
}


@pytest.fixture
def document(tmp_path):
    made = tmp_path / "schema.json"
    options = {"fail_on_warn": True, "validate": True, "format": "openapi-json"}
    call_command("spectacular", file=str(made), **options)
    return json.loads(made.read_text())


def parameters(operation):
    return {parameter["name"] for parameter in operation["parameters"]}


def test_has_every_path_and_method(document):
    paths = {path: [*methods] for path, methods in document["paths"].items() if "/api/" in path}

    assert paths == PATHS


def test_says_what_a_list_takes(document):
    listed = document["paths"]["/api/executions/"]["get"]
    entries = document["paths"]["/api/executions/{id}/entries/"]["get"]

    assert parameters(listed) == {
        *("workflow", "version", "status", "step", "waiting_for", "subject", "parent"),
        *("started_by", "created_after", "created_before", "search", "cursor", "page_size"),
    }
    assert parameters(entries) == {"id", "cursor", "page_size"}


def test_says_what_can_be_repeated(document):
    repeatable = {
        path.rsplit("/", 2)[-2]
        for path, methods in document["paths"].items()
        if "Idempotency-Key" in json.dumps(methods)
    }

    assert repeatable == {"executions", "resume", "approve", "reject", "decide", "events"}


def test_stream_is_one(document):
    answers = document["paths"]["/api/executions/{id}/events/"]["get"]["responses"]

    assert [*answers["200"]["content"]] == ["text/event-stream"]
    assert "204" in answers


def test_components_have_names_that_leave_others_alone(document):
    schemas = document["components"]["schemas"]

    assert schemas["WorkflowExecutionStatus"]["enum"][0] == "pending"
    assert [name for name in schemas if "Workflow" not in name] == []
    assert schemas["WorkflowDecide"]["additionalProperties"] is False


@pytest.mark.parametrize("name", ["WorkflowWait", "WorkflowApproval"])
def test_schema_of_an_answer_may_be_null(document, name):
    shown = document["components"]["schemas"][name]

    told = shown["properties"]["response_schema"]
    assert (told["type"], told["nullable"]) == ("object", True)
    assert "response_schema" in shown["required"]
