from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.urls import NoReverseMatch

from django_workflows import api
from django_workflows.admin import texts
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import WaitKind
from django_workflows.permissions import Policy
from django_workflows.steps import Approval, Assign, Call, ForEach, Halt
from tests.factories import (
    WorkflowExecutionFactory,
    WorkflowVersionFactory,
    WorkflowWaitFactory,
)

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"


def listed(client, url, **query):
    answer = client.get(url, query)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def found(client, url, **query):
    """Return the ids that a list shows, in its order."""
    answer = client.get(url, query)
    assert answer.status_code == 200
    return [row.pk for row in answer.context["cl"].result_list]


@pytest.fixture
def review(registered):
    return registered(
        "review", version="7", review=Approval(f"Really? {SCRIPT}", approvers=["group:managers"])
    )


def test_row_says_what_it_is_and_why(client, person, list_url, review):
    person("vic", "view")
    api.start("review", subject="auth.user:1", by="rob")

    page = listed(client, list_url)

    assert "review @ 7" in page
    assert "waiting at review for an approval by group managers" in page
    assert "wf-status-halted" in page
    assert "1/1" in page


def test_subject_is_a_link_for_who_may_view_it(client, admin_client, person, list_url, review):
    api.start("review", subject="auth.user:1")
    api.start("review", subject="no.such:1")

    page = listed(admin_client, list_url)
    person("vic", "view")
    seen = listed(client, list_url)

    assert '<a href="/admin/auth/user/1/change/">user 1</a>' in page
    assert "no.such:1" in page
    assert "user 1" in seen
    assert "/admin/auth/user/1/change/" not in seen


def test_subject_without_a_page_of_its_own_is_no_link(admin_client, list_url, review, monkeypatch):
    """As where a ModelAdmin leaves the page of one object out of its get_urls()."""
    api.start("review", subject="shop.notification:3")
    monkeypatch.setattr(texts, "reverse", _no_such_address)

    page = listed(admin_client, list_url)

    assert "notification 3" in page
    assert "/3/change/" not in page


def _no_such_address(name, args):
    raise NoReverseMatch(name)


def test_failed_step_shows_its_error_and_its_attempt(client, person, list_url, registered):
    person("vic", "view")

    def fail(state):
        raise ValueError(SCRIPT)

    registered("broken", work=Call(fail))
    execution = api.start("broken")
    row = WorkflowExecutionFactory(status="running", current_step="work", attempt=4)

    page = listed(client, list_url)

    assert "failed at work: ValueError" in page
    assert SCRIPT not in page
    assert "attempt 4" in page
    assert found(client, list_url, status="failed") == [execution.id]
    assert found(client, list_url, status="running") == [row.pk]


def test_group_of_children_is_told_without_counting_them(client, person, list_url, registered):
    person("vic", "view")
    registered("many", each=ForEach([1, 2, 3], do=Halt("?", name="ask")))
    api.start("many")

    page = listed(client, list_url, workflow="many")

    assert "waiting for the 3 children of each" in page


def test_queue_without_a_worker_is_told(client, person, list_url, registered, settings):
    settings.WORKFLOWS = {
        "ADAPTER": {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}
    }
    person("vic", "view")
    registered("slow", work=Assign(a=1))
    api.start("slow", queue="slow")

    page = listed(client, list_url)

    assert "but no worker listens on queue slow" in page


@pytest.mark.parametrize("query", [{}, {"status": "halted"}, {"workflow": "review"}])
def test_queries_do_not_grow_with_rows(client, person, list_url, review, query):
    person("vic", "view", groups=["managers"])
    for _number in range(40):
        api.start("review", by="rob")
    statuses = ["pending", "failed", "running", "completed", "cancelled", "halted"]
    for number in range(24):
        WorkflowExecutionFactory(status=statuses[number % 6], queue=f"q{number}")

    with CaptureQueriesContext(connection) as queries:
        listed(client, list_url, **query)

    assert len(queries) <= 12, [query["sql"] for query in queries]


def test_large_columns_are_not_read(client, person, list_url):
    person("vic", "view")
    WorkflowExecutionFactory(status="completed")

    with CaptureQueriesContext(connection) as queries:
        listed(client, list_url)

    reading = [query["sql"] for query in queries if "current_step" in query["sql"]]
    assert reading
    assert all("halt_data" not in sql and "frames" not in sql for sql in reading)


# Filters ----------------------------------------------------------------------------------------


@pytest.fixture
def rows(review):
    """Return one execution of each kind that a filter tells apart."""
    WorkflowVersionFactory(workflow_id="orders", version="1")
    WorkflowVersionFactory(workflow_id="orders", version="2")
    made = {
        "old": WorkflowExecutionFactory(status="completed", workflow_version="2"),
        "running": WorkflowExecutionFactory(status="running", current_step="charge"),
        "inner": WorkflowExecutionFactory(
            workflow_id="review", status="running", current_step="review[3]/ask"
        ),
        "asking": WorkflowExecutionFactory(
            workflow_id="review", status="halted", current_step="review"
        ),
        "sleeping": WorkflowExecutionFactory(status="halted", current_step="nap"),
    }
    WorkflowWaitFactory(execution=made["asking"], kind=WaitKind.APPROVAL)
    WorkflowWaitFactory(execution=made["sleeping"], kind=WaitKind.TIMER)
    return {name: row.pk for name, row in made.items()}


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"status": "open"}, {"running", "inner", "asking", "sleeping"}),
        ({"status": "ended"}, {"old"}),
        ({"status": "halted"}, {"asking", "sleeping"}),
        ({"workflow": "orders"}, {"old", "running", "sleeping"}),
        ({"workflow": "orders", "version": "2"}, {"old"}),
        ({"workflow": "review", "step": "review"}, {"inner", "asking"}),
        ({"step": "charge"}, {"running"}),
        ({"waits_for": "approval"}, {"asking"}),
        ({"waits_for": "timer"}, {"sleeping"}),
        ({"status": "nonsense"}, set()),
    ],
)
def test_filter_finds(client, person, list_url, rows, query, names):
    person("vic", "view")

    assert set(found(client, list_url, **query)) == {rows[name] for name in names}


@pytest.mark.parametrize(
    "lookup",
    [
        "input__regex",
        "ctx__contains",
        "error__iregex",
        "error",
        "status__exact",
        "started_by__contains",
        "created_at__regex",
        "parent__input__regex",
        "parent__id__in",
        "entries__output__contains",
        "id__exact",
    ],
)
def test_a_list_is_narrowed_by_nothing_but_its_filters(client, person, list_url, rows, lookup):
    """Text that is read through for each row keeps the database from its work."""
    person("vic", "view")

    assert client.get(list_url, {lookup: "x"}).status_code == 400


@pytest.mark.parametrize("name", ["status", "workflow", "version", "step", "waits_for"])
def test_filter_by_what_no_text_has_finds_nothing(client, person, list_url, rows, name):
    person("vic", "view")

    assert found(client, list_url, **{name: "a\0b"}) == []


def test_version_without_its_workflow_narrows_the_list(client, person, list_url, rows):
    person("vic", "view")

    assert found(client, list_url, version="no such") == []


@pytest.mark.parametrize("moment", ["9999-12-31 23:59:59-23:00", "x", "0001-01-01 00:00:00+23:00"])
def test_date_that_is_none_is_no_error(client, person, list_url, rows, moment):
    person("vic", "view")

    answer = client.get(list_url, {"created_at__lt": moment})

    assert answer.status_code in {200, 302}


def test_what_is_ticked_has_to_be_an_id(client, person, list_url, rows):
    person("vic", "view", "retry")

    answer = client.post(list_url, {"action": "retry", "_selected_action": ["x"]}, follow=True)

    assert "What was ticked is not there." in answer.content.decode()


def test_stranger_is_told_why_there_is_no_list(client, person, list_url):
    person("eve")

    answer = client.get(list_url)

    assert answer.status_code == 403
    assert "eve may not view workflows" in answer.content.decode()


def test_filter_by_date(client, person, list_url):
    person("vic", "view")
    WorkflowExecutionFactory(created_at=clock.now() - timedelta(days=30))
    new = WorkflowExecutionFactory()

    since = (clock.now() - timedelta(days=1)).isoformat()

    assert found(client, list_url, created_at__gte=since) == [new.pk]


def test_children_of_one_can_be_listed(client, person, list_url, rows):
    person("vic", "view")
    child = WorkflowExecutionFactory(parent_id=rows["old"])

    assert found(client, list_url, parent__id__exact=rows["old"]) == [child.pk]


def test_steps_and_versions_are_offered_for_a_chosen_workflow(client, person, list_url, rows):
    person("vic", "view")

    whole = listed(client, list_url)
    chosen = listed(client, list_url, workflow="review")

    assert "?step=" not in whole
    assert "step=review" in chosen
    assert "By version" not in whole


def test_whoever_may_not_view_a_workflow_is_not_told_of_it(client, person, list_url, rows):
    """An approver sees what they are asked about, and no names of other workflows."""
    person("mary", groups=["managers"])
    api.start("review")

    page = listed(client, list_url, workflow="orders")

    assert "workflow=review" not in page
    assert "version=2" not in page
    assert "step=" not in listed(client, list_url, workflow="review")


# Search, paging ---------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["{id}", " {id} ", "key-1", "shop.order:7"])
def test_search_is_exact(client, person, list_url, text):
    person("vic", "view")
    WorkflowVersionFactory(workflow_id="orders", version="1")
    row = WorkflowExecutionFactory(idempotency_key="key-1", subject="shop.order:7")
    WorkflowExecutionFactory(idempotency_key="key-11", subject="shop.order:77")

    assert found(client, list_url, q=text.format(id=row.pk)) == [row.pk]


def test_search_for_nothing_finds_all(client, person, list_url):
    person("vic", "view")
    row = WorkflowExecutionFactory()

    assert found(client, list_url, q="  ") == [row.pk]


def test_no_table_is_counted(client, person, list_url, monkeypatch):
    person("vic", "view")
    monkeypatch.setattr("django_workflows.reports.CappedPaginator.cap", 3)
    for _number in range(5):
        WorkflowExecutionFactory()

    with CaptureQueriesContext(connection) as queries:
        page = listed(client, list_url)

    counting = [query["sql"] for query in queries if "COUNT(" in query["sql"].upper()]
    assert counting
    assert all("LIMIT 4" in sql or "LIMIT 101" in sql for sql in counting)
    assert "There are 3+" in page


# Who --------------------------------------------------------------------------------------------


def test_stranger_is_refused_and_shown_nothing(client, person, list_url, review):
    api.start("review")
    person("sam")

    assert client.get(list_url).status_code == 403
    assert "Executions" not in client.get("/admin/").content.decode()


def test_approver_sees_what_they_are_asked_about(client, person, list_url, review):
    asked = api.start("review")
    WorkflowExecutionFactory()
    person("mary", groups=["managers"])

    assert found(client, list_url) == [asked.id]
    assert "Executions" in client.get("/admin/").content.decode()


@pytest.mark.parametrize("groups", [[], ["managers"]])
def test_whether_one_is_a_stranger_is_asked_once_and_of_no_execution(
    client, person, list_url, review, groups
):
    api.start("review")
    person("mary", groups=groups)

    with CaptureQueriesContext(connection) as queries:
        client.get("/admin/")

    said = [query["sql"] for query in queries]
    assert not [sql for sql in said if "workflowexecution" in sql]
    assert len([sql for sql in said if "workflowwait" in sql]) <= 2


def test_whom_the_policy_lets_view_some_is_no_stranger(client, person, list_url, settings):
    settings.WORKFLOWS = {**settings.WORKFLOWS, "POLICY": "tests.admin.test_list.OwnPolicy"}
    own = WorkflowExecutionFactory(subject="mary")
    WorkflowExecutionFactory(subject="bob")
    person("eve")

    assert client.get(list_url).status_code == 403
    person("mary")
    assert found(client, list_url) == [own.pk]


class OwnPolicy(Policy):
    """Who has no right at all may view what is about them."""

    def visible(self, user):
        return Q(subject=user.get_username())


def test_user_without_staff_is_sent_to_the_login(client, person, list_url):
    person("una", "view", is_staff=False)

    assert client.get(list_url).status_code == 302


def test_nobody_adds_or_deletes_by_hand(admin_client):
    row = WorkflowExecutionFactory()
    base = "/admin/django_workflows/workflowexecution/"

    assert admin_client.get(f"{base}add/").status_code == 403
    assert admin_client.post(f"{base}{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_statuses_have_a_shape_each(client, person, list_url):
    person("vic", "view")
    for status in ExecutionStatus:
        WorkflowExecutionFactory(status=status)

    page = listed(client, list_url)

    shapes = {part.partition("</svg>")[0] for part in page.split('aria-hidden="true">')[1:]}
    assert len(shapes) >= len(ExecutionStatus)
