"""How the API says no."""

import inspect

import pytest
from django.core.exceptions import RequestDataTooBig
from django.db import InterfaceError, OperationalError
from rest_framework.exceptions import APIException
from rest_framework.test import APIClient, APIRequestFactory

from django_workflows import exceptions
from django_workflows.rest_framework import base
from django_workflows.rest_framework.errors import translated
from django_workflows.rest_framework.executions import ExecutionViewSet
from django_workflows.rest_framework.parsing import StrictJSONParser
from django_workflows.steps import Call
from django_workflows.stores.orm import OrmStore

pytestmark = pytest.mark.django_db

#: Never raised by what the API calls: they end a step, or tell of a mistake in the project.
NOT_TRANSLATED = {
    exceptions.ConfigurationError,
    exceptions.DefinitionError,
    exceptions.ExecutionFailed,
    exceptions.WorkflowError,
}

EXAMPLES = {
    exceptions.UnknownWorkflow: (("lost", []), 409),
    exceptions.InputError: (("w", {"n": "no number"}), 400),
    exceptions.PayloadError: (("output.a", "cannot be kept"), 400),
    exceptions.ResponseError: (("x", "ask", {"n": "no number"}), 400),
    exceptions.StoreUnavailable: (("OrmStore", "gone"), 503),
    exceptions.ExecutionNotFound: (("x",), 404),
    exceptions.NotResumable: (("x", "it is not"), 409),
    exceptions.AlreadyResumed: (("x", "s", "ann", None), 409),
    exceptions.NotAllowed: (("no",), 403),
    exceptions.StaleExecution: (("x", 1), 409),
    exceptions.EventTaken: (("x",), 409),
    exceptions.InvalidTransition: (("x", "halted", "retry", "failed"), 409),
}


def test_every_error_is_translated_or_said_not_to_be():
    errors = {
        kind
        for _, kind in inspect.getmembers(exceptions, inspect.isclass)
        if issubclass(kind, exceptions.WorkflowError) and not issubclass(kind, exceptions.StepError)
    }

    assert errors == {*EXAMPLES} | NOT_TRANSLATED


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_translation(kind):
    arguments, status = EXAMPLES[kind]

    made = translated(kind(*arguments))

    assert isinstance(made, APIException)
    assert made.status_code == status
    assert isinstance(made.__cause__, kind)


def test_others_stay_what_they_are():
    error = KeyError("x")

    assert translated(error) is error


def test_nameless_payload_error_is_of_no_field():
    made = translated(exceptions.PayloadError("", "stored data is not JSON"))

    assert [*made.detail] == ["non_field_errors"]


@pytest.mark.parametrize(
    "error",
    [
        exceptions.StoreUnavailable("OrmStore", "host db1"),
        OperationalError("host db1"),
        InterfaceError("db1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_store_that_does_not_answer(root, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(base.WorkflowExecution.objects, "using", fail)

    reply = root.get("/api/executions/")

    assert reply.status_code == 503
    assert reply["Retry-After"] == "5"
    assert "db1" not in reply.content.decode()


def test_other_store_is_a_mistake_of_the_project(root, settings):
    backend = "django_workflows.stores.memory.MemoryStore"
    settings.WORKFLOWS = {**settings.WORKFLOWS, "STORE": {"BACKEND": backend}}

    with pytest.raises(exceptions.ConfigurationError, match="which only OrmStore has"):
        root.get("/api/executions/")


def test_rows_are_those_of_the_stores_database(root, settings, django_db_blocker):
    settings.WORKFLOWS = {
        **settings.WORKFLOWS,
        "STORE": {"BACKEND": f"{OrmStore.__module__}.OrmStore", "OPTIONS": {"using": "other"}},
    }

    assert base.database() == "other"
    assert ExecutionViewSet().serializer_class is not None


BODIES = [
    ("{", "JSON parse error"),
    ('{"name": NaN}', "JSON parse error"),
    ('{"name": "\\ud800"}', "lone surrogate"),
    ('{"\\udc00": 1}', "lone surrogate"),
    ("[" * 100_000, "nested too deeply"),
    ('{"data": ' + "[" * 2_000 + "]" * 2_000 + "}", "nest"),
    ('{"name": ' + "9" * 5_000 + "}", "JSON parse error"),
    (b"\xff", "JSON parse error"),
]


@pytest.mark.parametrize(("body", "told"), BODIES, ids=[str(n) for n in range(len(BODIES))])
def test_body_that_cannot_be_read(root, body, told):
    reply = root.post("/api/events/", body, content_type="application/json")

    assert reply.status_code == 400
    assert told in reply.content.decode()


def test_pair_of_surrogates_is_a_character(root):
    reply = root.post("/api/events/", '{"name": "\\ud83d\\ude00"}', content_type="application/json")

    assert reply.status_code == 201
    assert reply.json()["name"] == "\N{GRINNING FACE}"


def test_nested_as_deep_as_a_step_may_store(root):
    nested = "[" * 90 + "]" * 90
    body = '{"name": "x", "data": ' + nested + "}"

    assert root.post("/api/events/", body, content_type="application/json").status_code == 201
    for depth in (101, 400, 700, 900):
        too_deep = body.replace(nested, "[" * depth + "]" * depth)
        reply = root.post("/api/events/", too_deep, content_type="application/json")
        assert reply.status_code == 400, depth


def test_other_types_of_content_are_refused(root):
    assert root.post("/api/events/", {"name": "x"}, "multipart").status_code == 415


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_other_methods_are_refused(root, halted, method):
    assert getattr(root, method)(f"/api/executions/{halted.id}/").status_code == 405


def test_session_needs_the_csrf_token(user, halted):
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user("able", "view", "cancel"))

    reply = client.post(f"/api/executions/{halted.id}/cancel/", {}, "json")

    assert reply.status_code == 403
    assert "CSRF" in reply.json()["detail"]


def test_throttles_count_where_the_project_says_so(client_of, user, registered, settings):
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"workflows_start": "2/hour"},
    }
    clients = [client_of(user(name, "start")) for name in ("tam", "tom")]

    for client in clients:
        statuses = [client.post("/api/executions/", {}, "json").status_code for _ in range(3)]
        assert statuses == [400, 400, 429]
    reply = clients[0].post("/api/executions/", {}, "json")
    assert int(reply["Retry-After"]) > 3000
    # Another scope, and one without a limit.
    assert clients[0].get("/api/executions/").status_code == 200
    for _ in range(3):
        missing = clients[0].post(f"/api/executions/{'0' * 32}/approve/", {}, "json")
        assert missing.status_code == 404


def test_decisions_have_a_scope_of_their_own(client_of, user, settings):
    settings.REST_FRAMEWORK = {
        **settings.REST_FRAMEWORK,
        "DEFAULT_THROTTLE_RATES": {"workflows_decide": "1/hour"},
    }
    client = client_of(user("quick"))
    urls = [f"/api/executions/{'0' * 32}/approve/", f"/api/approvals/{'0' * 32}/decide/"]

    assert [client.post(url, {}, "json").status_code for url in urls] == [404, 429]


def test_body_that_is_too_large_is_not_read(root, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100

    assert root.post("/api/events/", {"name": "x"}, "json").status_code == 201
    reply = root.post("/api/events/", {"name": "x", "data": "y" * 100}, "json")
    assert reply.status_code == 400
    assert reply.json() == {"detail": "The body is too large."}


def test_location_is_below_where_the_project_included_it(client_of, user, registered, settings):
    settings.ROOT_URLCONF = "tests.rest_framework.urls_below"
    registered("quick", work=Call(lambda: 1))

    reply = client_of(user("sam", "start")).post(
        "/v1/workflows/executions/", {"workflow": "quick"}, "json"
    )

    assert reply["Location"] == f"http://testserver/v1/workflows/executions/{reply.json()['id']}/"


def test_body_too_large_is_noticed_before_it_is_read(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    request = APIRequestFactory().post("/", {"name": "y" * 100}, "json")

    with pytest.raises(RequestDataTooBig):
        StrictJSONParser().parse(request, "application/json", {"request": request})
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    assert StrictJSONParser().parse(request, "application/json", {"request": request})
