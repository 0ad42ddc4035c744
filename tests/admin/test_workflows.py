from dataclasses import dataclass
from datetime import date

import pytest
from django.db.models import Q
from django.urls import reverse

from django_workflows import api, registry
from django_workflows.admin.workflows import type_of
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.validation import Problem
from django_workflows.permissions import Policy
from django_workflows.steps import Assign, Call, ForEach, Halt
from tests.factories import (
    WorkflowEntryFactory,
    WorkflowExecutionFactory,
    WorkflowVersionFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"
LIST = "admin:django_workflows_workflows"


class OwnOnly(Policy):
    """Lets people view what they have started themselves."""

    def allows(self, user, action, *, workflow_id=None, execution=None):
        own = execution is None or execution.started_by == user.get_username()
        allowed = super().allows(user, action, workflow_id=workflow_id, execution=execution)
        return own and allowed

    def visible(self, user):
        return super().visible(user) & Q(started_by=user.get_username())


@pytest.fixture(autouse=True)
def order(registered):
    @dataclass
    class Input:
        order_id: int
        note: str = SCRIPT

    return registered(
        "order",
        __doc__=f"Ship an order.\n\nNot {SCRIPT}.",
        version="3",
        Input=Input,
        check=Call(str, description=SCRIPT),
        pause=Halt("wait"),
    )


def url_of(workflow="order"):
    return reverse("admin:django_workflows_workflow", args=[workflow])


def test_list_has_each_workflow_with_its_counts(client, person, list_url):
    person("vic", "view")
    api.start("order", {"order_id": 1})

    answer = client.get(reverse(LIST))

    page = answer.content.decode()
    (one,) = [one for one in answer.context["workflows"] if one["definition"].id == "order"]
    counts = {cell["status"]: str(cell["count"]) for cell in one["counts"]}
    assert counts["halted"] == "1"
    assert f"{list_url}?workflow=order&amp;status=halted" in page
    assert "Ship an order." in page
    assert url_of() in page
    assert "Start…" not in page
    assert SCRIPT not in page


def test_list_names_what_is_not_registered_any_more(client, person):
    person("vic", "view")
    WorkflowExecutionFactory(workflow_id="gone", status=ExecutionStatus.FAILED)
    WorkflowVersionFactory(workflow_id="gone", version="1")

    answer = client.get(reverse(LIST))

    assert [one["id"] for one in answer.context["unknown"]] == ["gone"]
    assert "Not registered here any more" in answer.content.decode()


def test_page_shows_graph_input_steps_and_recent_executions(client, person, page_of):
    person("sam", "view", "start")
    execution = api.start("order", {"order_id": 1})

    answer = client.get(url_of())

    page = answer.content.decode()
    assert "<svg" in page
    assert "order_id" in page
    assert [one["row"].step for one in answer.context["steps"]] == ["check", "pause"]
    assert page_of(execution) in page
    assert "halted at pause" in page
    assert reverse("admin:django_workflows_start", args=["order"]) in page
    assert "Versions that ran" in page
    assert SCRIPT not in page


def test_steps_have_their_times(client, person):
    person("vic", "view")
    row = WorkflowExecutionFactory(workflow_id="order", started_at=clock.now())
    for duration in (100, 200, 300):
        WorkflowEntryFactory(execution=row, step_id="check", duration_ms=duration)
    WorkflowEntryFactory(execution=row, step_id="older", duration_ms=5)

    answer = client.get(url_of())

    check = answer.context["steps"][0]
    assert check["times"].number == 3
    assert check["p50"] == "200 ms"
    assert [one["name"] for one in answer.context["former_steps"]] == ["older"]
    assert "of another version" in answer.content.decode()


def assert_shows_no_foreign_numbers(answer):
    assert answer.status_code == 200
    assert len(answer.context["recent"]) == 1
    assert sum(cell["count"].number for cell in answer.context["counts"]) == 1
    assert [one["times"] for one in answer.context["steps"]] == [None, None]
    assert answer.context["former_steps"] == []
    for heading in ("Runs", "Failed", "p50", "p95"):
        assert f'class="wf-number-cell">{heading}</th>' not in answer.content.decode()


def test_who_may_only_start_sees_no_foreign_executions_and_numbers(client, person):
    foreign = api.start("order", {"order_id": 1}, by="bob")
    WorkflowEntryFactory(execution_id=foreign.id, step_id="older", duration_ms=5)
    api.start("order", {"order_id": 1}, by="sam")
    person("sam", "start")

    answer = client.get(url_of())

    assert_shows_no_foreign_numbers(answer)
    assert answer.context["may_start"]


def test_whom_a_policy_shows_some_sees_no_foreign_numbers(client, person, settings):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "POLICY": f"{__name__}.OwnOnly"}
    api.start("order", {"order_id": 1}, by="bob")
    api.start("order", {"order_id": 1}, by="vic")
    person("vic", "view")

    assert_shows_no_foreign_numbers(client.get(url_of()))


def test_problems_of_a_workflow_are_told(client, person, monkeypatch):
    person("vic", "view")
    found = [Problem("workflows.E007", f"no step leads to it {SCRIPT}")]
    monkeypatch.setattr("django_workflows.admin.workflows.problems", lambda definition: found)

    page = client.get(url_of()).content.decode()

    assert "workflows.E007" in page
    assert SCRIPT not in page


def test_page_of_one_that_is_gone_shows_what_is_left(client, person, page_of):
    person("vic", "view")
    row = WorkflowExecutionFactory(workflow_id="gone", status=ExecutionStatus.FAILED)

    page = client.get(url_of("gone")).content.decode()

    assert "No workflow of this name is registered here" in page
    assert page_of(row) in page


def test_part_is_shown_but_not_started(client, person, registered):
    registered("loop", over=ForEach(over=[1], do=[Assign(a=1)]))
    person("sam", "view", "start")
    (part,) = registry["loop"].parts

    answer = client.get(url_of(part))

    assert answer.status_code == 200
    assert not answer.context["may_start"]


def test_unknown_one_is_404(client, person):
    person("vic", "view")

    assert client.get(url_of("no_such")).status_code == 404


def test_who_is_asked_elsewhere_may_not_look(client, person, registered):
    from django_workflows.steps import Approval

    registered("review", ask=Approval("?", approvers=["user:amy"]))
    api.start("review")
    person("amy")

    assert client.get(url_of("review")).status_code == 200
    assert client.get(url_of()).status_code == 403
    assert client.get(reverse(LIST)).context["workflows"] == []


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer"}, "integer"),
        ({"type": "string", "format": "date"}, "date"),
        ({"type": "array", "items": {"type": "integer"}}, "array of integer"),
        ({"anyOf": [{"type": "number"}, {"type": "string"}]}, "decimal"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer | null"),
        ({"$ref": "#/$defs/Line"}, "Line"),
        ({"enum": ["a", 1]}, "a, 1"),
        ({}, "any"),
    ],
)
def test_types_in_a_few_words(schema, words):
    assert type_of(schema) == words


def test_workflow_without_input_says_so(client, person, registered):
    @dataclass
    class Input:
        pass

    registered("none", Input=Input, done=Assign(a=1))
    registered("any", done=Assign(a=1))
    person("vic", "view")

    assert "It takes none." in client.get(url_of("none")).content.decode()
    assert "It takes any mapping." in client.get(url_of("any")).content.decode()


def test_input_defaults_are_shown(client, person, registered):
    @dataclass
    class Input:
        day: date = date(2026, 1, 31)

    registered("dated", Input=Input, done=Assign(a=1))
    person("vic", "view")

    assert "2026-01-31" in client.get(url_of("dated")).content.decode()
