"""``workflows list``."""

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import resume, run
from django_workflows.steps import Approval, Call, Halt, SubWorkflow
from tests.factories import WorkflowExecutionFactory
from tests.management.conftest import refused, seen, workflows

pytestmark = pytest.mark.django_db(transaction=True)

REDIS = {"BACKEND": "django_workflows.stores.memory.MemoryStore"}


def listed(*line):
    return [cells[0] for cells in workflows("list", *line).cells]


def test_executions_are_lines_the_newest_first(doing, failing):
    first = run(doing, execution_id=None)
    second = run(failing)

    found = workflows("list")

    assert [cells[:5] for cells in found.cells] == [
        [second.execution_id, "failing", "1", "failed", "work"],
        [first.execution_id, "doing", "1", "completed", "done"],
    ]
    assert found.cells[0][7] == "ValueError: the card is expired"
    assert found.code == 0


def test_executions_as_json(failing):
    failed = run(failing, subject="shop.order:7")

    [found] = workflows("list", "--json").data

    assert (found["id"], found["status"]) == (failed.execution_id, "failed")
    assert found["subject"] == "shop.order:7"


def test_filters_narrow_it(doing, failing, registered):
    done = run(doing, subject="shop.order:7").execution_id
    failed = run(failing).execution_id
    parent = run(registered("outer", child=SubWorkflow("doing"))).execution_id

    [child] = listed("--parent", parent)
    assert listed("--status", "failed") == [failed]
    assert listed("--subject", "shop.order:7") == [done]
    assert listed("--workflow", "doing", "--limit", "1") == [child]
    assert listed("--workflow", "doing", "--status", "failed") == []


def test_a_status_that_there_is_not_is_refused():
    code, said = refused("list", "--status", "broken")

    assert code == 1
    assert "broken" in said


def test_on_a_terminal_there_are_headings_and_signs(failing):
    failed = run(failing)

    out = seen("list").out

    assert "STATUS" in out
    assert "✗ failed" in out
    assert failed.execution_id in out
    assert "VERSION" not in out


def test_on_a_terminal_nothing_is_told(doing):
    assert "There is none." in seen("list").out
    assert workflows("list").out == ""


def test_on_a_terminal_the_limit_is_told(doing):
    for _ in range(2):
        run(doing)

    assert "The first 1; --limit N lists more." in seen("list", "--limit", "1").out
    assert "--limit N" not in seen("list", "--limit", "3").out


def test_workflows_are_listed(registered):
    registered("about", __doc__="Say something.\n\nAnd more.", work=Call(lambda: 1))

    found = {cells[0]: cells for cells in workflows("list", "workflows").cells}

    assert found["about"] == ["about", "1", "1", "", "Say something."]
    assert found["order_fulfilment"][3] == "order_id"
    assert found["reorder"][3] == "product, [quantity]"
    assert listed("workflows", "--workflow", "about") == ["about"]
    assert "INPUT" in seen("list", "workflows").out


def test_workflows_as_json():
    [found] = workflows("list", "workflows", "--workflow", "reorder", "--json").data

    assert found["id"] == "reorder"
    assert found["input"]["required"] == ["product"]


def test_a_workflow_that_there_is_not():
    code, said = refused("list", "workflows", "--workflow", "gone")

    assert code == 5
    assert "No workflow 'gone' is registered." in said


def test_approvals_are_listed_the_oldest_first(order, asking):
    first, second = run(order), run(order)
    run(asking)

    assert listed("approvals") == [first.execution_id, second.execution_id]
    assert listed("approvals", "--workflow", "asking") == []
    assert listed("approvals", "--workflow", "order", "--limit", "1") == [first.execution_id]
    assert "Ship it?" in seen("list", "approvals").out
    assert [wait["step"] for wait in workflows("list", "approvals", "--json").data] == [
        "review",
        "review",
    ]


def test_as_a_user_only_what_they_may_see(doing, person):
    person("viewer", "view")
    person("nobody")
    starter = person("starter", "start")
    run(doing)
    own = run(doing, by=starter).execution_id

    assert len(listed("--as", "viewer")) == 2
    assert listed("--as", "starter") == [own]
    assert listed("--as", "nobody") == []
    assert listed("--as", "viewer", "--parent", own) == []


def test_as_a_user_their_own_inbox(registered, person):
    flow = registered("asked", review=Approval("?", approvers=["group:managers"]))
    wanted = run(flow).execution_id
    run(registered("other", review=Approval("?", approvers=["user:eve"])))
    person("ann").groups.add(Group.objects.create(name="managers"))

    assert listed("approvals", "--as", "ann") == [wanted]
    assert listed("approvals", "--as", "ann", "--workflow", "other") == []


def test_as_a_user_the_limit_counts_what_they_may_see(person):
    """Of children, too: they are narrowed down first, and then cut."""
    person("viewer", "view")
    parent = WorkflowExecutionFactory().pk
    failed = WorkflowExecutionFactory(parent_id=parent, status="failed").pk
    newest = WorkflowExecutionFactory(parent_id=parent, status="completed").pk
    line = ("--parent", parent, "--limit", "1", "--as", "viewer")

    assert listed(*line, "--status", "failed") == [failed]
    assert listed(*line) == [newest]
    assert listed("--parent", "nono", "--as", "viewer") == []


def test_approvals_of_one_workflow_are_found_among_many_others(order, asking, registered):
    other = registered("other", review=Approval("?"))
    for _ in range(3):
        run(other)
    wanted = [run(order).execution_id for _ in range(2)]
    resume(run(order).execution_id, approved=True)

    with CaptureQueriesContext(connection) as queries:
        assert listed("approvals", "--workflow", "order") == wanted

    assert len(queries) == 1
    assert listed("approvals", "--workflow", "order", "--limit", "1") == wanted[:1]


def test_approvals_of_one_workflow_in_a_store_without_rows(settings, registered):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "STORE": REDIS}
    for name in ("other", "order"):
        registered(name, review=Approval("?"))
    run("other")
    wanted = [run("order").execution_id for _ in range(2)]
    resume(run("order").execution_id, approved=True)

    assert listed("approvals", "--workflow", "order") == wanted
    assert listed("approvals", "--workflow", "order", "--limit", "1") == wanted[:1]


def test_as_a_user_only_workflows_they_may_start(person):
    person("nobody")
    person("starter", "start")

    assert listed("workflows", "--as", "nobody") == []
    assert "reorder" in listed("workflows", "--as", "starter")


def test_as_a_user_takes_a_store_with_rows(settings, person):
    person("viewer", "view")
    settings.WORKFLOWS = {**settings.WORKFLOWS, "STORE": REDIS}

    code, said = refused("list", "--as", "viewer")

    assert code == 1
    assert said.startswith("list --as needs the OrmStore: MemoryStore has no rows")


def test_a_user_that_there_is_not():
    assert refused("list", "--as", "eve") == (
        5,
        "There is no user 'eve'; --as takes a username.",
    )


def test_a_halted_one_shows_where(asking):
    run(asking)

    assert workflows("list").cells[0][3:5] == ["halted", "ask"]
    assert isinstance(asking.ask, Halt)
