"""Executions: the list, one of them, and its history."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import run, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.ids import new_id
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Call
from tests.factories import WorkflowExecutionFactory, WorkflowWaitFactory

pytestmark = pytest.mark.django_db

LIST = "/api/executions/"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def of(execution, verb=""):
    return f"{LIST}{execution.id}/{verb}{'/' if verb else ''}"


def ids(reply):
    assert reply.status_code == 200, reply.content
    return [row["id"] for row in reply.json()["results"]]


def everything(client, url, way="next"):
    """Follow the links to the last page; return the ids of each page."""
    pages = []
    while url:
        reply = client.get(url)
        pages.append(ids(reply))
        url = reply.json()[way]
    return pages


@pytest.fixture
def many():
    """Seven executions; the middle three were created in one moment."""
    moments = [0, 1, 2, 2, 2, 3, 4]
    made = [WorkflowExecutionFactory(created_at=NOON + timedelta(hours=h)) for h in moments]
    return [row.id for row in WorkflowExecution.objects.filter(pk__in=[one.pk for one in made])]


# The list ---------------------------------------------------------------------------------------


def test_pages_have_every_row_once_the_newest_first(root, many):
    pages = everything(root, f"{LIST}?page_size=2")

    assert pages == [many[0:2], many[2:4], many[4:6], many[6:]]


def test_pages_lead_back(root, many):
    last = root.get(root.get(f"{LIST}?page_size=5").json()["next"])

    first = root.get(last.json()["previous"])

    assert ids(last) == many[5:]
    assert last.json()["next"] is None
    assert ids(first) == many[:5]
    assert first.json()["previous"] is None
    assert ids(root.get(first.json()["next"])) == many[5:]


def test_rows_that_come_meanwhile_move_no_others(root, many):
    following = root.get(f"{LIST}?page_size=3").json()["next"]
    WorkflowExecutionFactory(created_at=NOON + timedelta(days=1))

    assert ids(root.get(following)) == many[3:6]


def test_links_keep_the_filters(root, many):
    following = root.get(f"{LIST}?page_size=3&workflow=orders").json()["next"]

    assert "workflow=orders" in following
    assert "page_size=3" in following


def test_list_counts_nothing_and_reads_no_large_column(root, many, django_assert_num_queries):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        reply = root.get(f"{LIST}?page_size=3")

    (query,) = [one["sql"] for one in queries if "workflowexecution" in one["sql"]]
    assert "COUNT(" not in query
    assert "ctx" not in query
    assert "ctx" not in reply.json()["results"][0]


@pytest.mark.parametrize(
    "cursor",
    [
        "nonsense",
        "é",
        "W10",  # []
        "WzBd",  # [0]
        "NQ",  # 5
        "e30",  # {}
        "W1tdLDEsMl0",  # [[],1,2]
        "WzAsIngiLCJ5Il0",  # [0,"x","y"]
        "WzAsIjIwMjYtMDMtMDEiLCJ5Il0",  # a naive time
        "WzAsIjAwMDEtMDEtMDFUMDA6MDA6MDArMTQ6MDAiLCIwIl0",  # before the year 1
        "WzAsbnVsbCxudWxsXQ",  # [0,null,null]
        "W" * 5000,
    ],
)
def test_cursor_that_is_none_is_a_field_error(root, cursor):
    reply = root.get(LIST, {"cursor": cursor})

    assert reply.status_code == 400
    assert [*reply.json()] == ["cursor"]


@pytest.mark.parametrize("size", ["0", "-1", "201", "x", "1.5", "٣", "9" * 5000])
def test_page_size_has_bounds(root, size):
    reply = root.get(LIST, {"page_size": size})

    assert reply.status_code == 400
    assert reply.json() == {"page_size": ["Must be a whole number from 1 to 200."]}


def test_unknown_parameter_is_a_field_error(root):
    reply = root.get(LIST, {"satus": "failed"})

    assert reply.status_code == 400
    assert reply.json() == {"satus": ["There is no such parameter."]}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"workflow": "orders"}, "ab"),
        ({"workflow": "Orders"}, ""),
        ({"workflow": "orders", "version": "2"}, "b"),
        ({"status": "failed"}, "b"),
        ({"status": ["failed", "halted"]}, "bc"),
        ({"step": "charge"}, "b"),
        ({"waiting_for": "approval"}, "c"),
        ({"waiting_for": "event"}, ""),
        ({"subject": "shop.order:7"}, "a"),
        ({"search": "shop.order:7"}, "a"),
        ({"started_by": "ann"}, "c"),
        ({"created_after": "2026-03-01T13:00:00Z"}, "bc"),
        ({"created_after": "2026-03-01T14:00:00+01:00"}, "bc"),
        ({"created_before": "2026-03-01T13:00:00Z"}, "a"),
    ],
)
def test_filters(root, query, found):
    rows = {
        "a": WorkflowExecutionFactory(created_at=NOON, subject="shop.order:7"),
        "b": WorkflowExecutionFactory(
            created_at=NOON + timedelta(hours=1),
            status=ExecutionStatus.FAILED,
            workflow_version="2",
            current_step="charge",
        ),
        "c": WorkflowExecutionFactory(
            created_at=NOON + timedelta(hours=2),
            workflow_id="other",
            status=ExecutionStatus.HALTED,
            started_by="ann",
        ),
    }
    WorkflowWaitFactory(execution=rows["c"], kind="approval")

    assert set(ids(root.get(LIST, query))) == {rows[name].id for name in found}


def test_filter_by_parent_and_id(root):
    parent = WorkflowExecutionFactory()
    child = WorkflowExecutionFactory(parent=parent)

    assert ids(root.get(LIST, {"parent": parent.id})) == [child.id]
    assert ids(root.get(LIST, {"search": parent.id})) == [parent.id]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", "lost"),
        ("waiting_for", "godot"),
        ("parent", "x"),
        ("created_after", "yesterday"),
        ("created_after", "2026-03-01T12:00:00"),
        ("created_before", "0001-01-01T00:00:00+14:00"),
        ("created_before", "9999-12-31T23:59:59-14:00"),
        ("workflow", "a\x00b"),
        ("search", "\x00"),
    ],
)
def test_filter_that_cannot_be_is_a_field_error(root, name, value):
    reply = root.get(LIST, {name: value})

    assert reply.status_code == 400
    assert [*reply.json()] == [name]


@pytest.mark.parametrize("name", ["workflow", "status", "parent", "created_after", "cursor"])
def test_filter_without_a_value_is_a_field_error(root, name):
    reply = root.get(f"{LIST}?{name}=")

    assert reply.status_code == 400
    assert reply.json() == {name: ["Has no value; leave it out, or give one."]}


def test_list_of_who_may_view_nothing_is_empty(client_of, user, halted):
    assert ids(client_of(user("nobody")).get(LIST)) == []
    assert ids(client_of(user("viewer", "view")).get(LIST)) == [halted.id]


# One of them ------------------------------------------------------------------------------------


def test_shows_data_as_the_codec_writes_it(root, registered):
    made = {"paid": Decimal("9.90"), "on": date(2026, 1, 31), "$odd": {1}}
    execution_id = run(registered("typed", work=Call(lambda: made)), {"n": 1}).execution_id

    shown = root.get(f"{LIST}{execution_id}/").json()

    typed = {"$dict": {"paid": {"$decimal": "9.90"}, "on": {"$date": "2026-01-31"}}}
    typed["$dict"]["$odd"] = {"$set": [1]}
    assert shown["input"] == {"n": 1}
    assert shown["ctx"] == {"work": typed}
    assert shown["result"] == typed
    assert shown["status"] == "completed"
    assert shown["why"].startswith("completed ")


def test_shows_what_it_waits_for_and_what_may_be_done(client_of, user, asking):
    execution = asking("user:ann", "group:x")
    ann = client_of(user("ann"))

    shown = ann.get(of(execution)).json()

    (wait,) = shown["waits"]
    assert (wait["step"], wait["kind"], wait["prompt"]) == ("review", "approval", "Well?")
    assert wait["approvers"] == ["user:ann", "group:x"]
    assert wait["answers"] == []
    assert wait["response_schema"] is None
    assert shown["may"] == ["view", "decide"]
    assert "approval by user ann or group x" in shown["why"]


@pytest.mark.parametrize("verb", ["", "entries", "events"])
@pytest.mark.parametrize("unknown", [new_id(), "x", "%00", "0" * 5000])
def test_missing_is_404(root, unknown, verb):
    reply = root.get(f"{LIST}{unknown}/{verb}{'/' if verb else ''}")

    assert reply.status_code == 404
    assert reply.json() == {"detail": "Not found."}


def test_history_has_every_entry_in_order(root, broken):
    execution, repair = broken
    repair()
    root.post(of(execution, "retry"), {"reason": "paid now"}, "json")
    wiring.drive(execution.id)

    pages = [root.get(f"{of(execution, 'entries')}?page_size=2")]
    while following := pages[-1].json()["next"]:
        pages.append(root.get(following))

    entries = [entry for page in pages for entry in page.json()["results"]]
    actions = [(entry["step"], entry["action"], entry["by"]) for entry in entries]
    assert len(pages) == 2
    assert actions == [
        ("look", "completed", None),
        ("charge", "failed", None),
        ("charge", "retried", "root"),
        ("charge", "completed", None),
    ]
    assert entries[1]["error"] == "ValueError: no money"
    assert "no money" in entries[1]["traceback"]
    assert entries[2]["output"] == {"from_step": "charge", "reason": "paid now"}


@pytest.mark.parametrize("query", [{"cursor": "x"}, {"status": "failed"}, {"page_size": "0"}])
def test_history_refuses_what_it_does_not_know(root, halted, query):
    assert root.get(of(halted, "entries"), query).status_code == 400
