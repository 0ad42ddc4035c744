import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import api
from django_workflows.core import clock
from django_workflows.models import WorkflowExecution
from django_workflows.steps import Approval, Assign, Halt
from tests.factories import WorkflowEntryFactory, WorkflowExecutionFactory

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def execution(registered):
    registered("asks", ask=Halt("How many?"), then=Halt("And now?"), done=Assign(a=1))
    return api.start("asks")


@pytest.fixture
def live(client, page_of):
    """Ask for the live part as live.js does; ``tag`` is that of the last answer."""

    def ask(execution, tag=None, **query):
        headers = {"If-None-Match": tag} if tag else {}
        return client.get(page_of(execution), {**query, "live": 1}, headers=headers)

    return ask


@pytest.fixture(autouse=True)
def still(monkeypatch):
    """Keep the minute in which a test runs, as ages are told to the minute."""
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now)


def test_page_names_where_its_live_part_is_read(client, person, page_of, execution):
    person("vic", "view")

    page = client.get(page_of(execution), {"history": "decisions"}).content.decode()

    assert 'data-live-url="?history=decisions&amp;live=1"' in page
    assert "data-live-tag" in page


def test_live_part_is_that_of_the_page(client, person, page_of, execution, live):
    person("vic", "view")
    page = client.get(page_of(execution)).content.decode()

    part = live(execution)

    assert part.status_code == 200
    assert part.content.decode() in page
    assert "no-cache" in part.headers["Cache-Control"]


def test_nothing_new_is_304_in_few_queries(client, person, execution, live):
    person("vic", "view")
    tag = live(execution).headers["ETag"]

    with CaptureQueriesContext(connection) as queries:
        again = live(execution, tag)

    assert again.status_code == 304
    assert again.content == b""
    assert again.headers["ETag"] == tag
    assert len(queries) <= 8


def test_tag_of_the_page_is_that_of_its_live_part(client, person, page_of, execution, live):
    person("vic", "view")
    page = client.get(page_of(execution))

    assert live(execution, page.context["live_tag"]).status_code == 304


def test_answer_makes_it_new(client, person, execution, live):
    person("vic", "view")
    tag = live(execution).headers["ETag"]

    api.resume(execution.id, response=1)
    changed = live(execution, tag)

    assert changed.status_code == 200
    assert "And now?" in changed.content.decode()


def test_one_approval_of_two_makes_it_new(client, person, registered, live):
    registered("both", ask=Approval("Really?", required=2))
    execution = api.start("both")
    person("vic", "view")
    tag = live(execution).headers["ETag"]

    api.resume(execution.id, approved=True, by="ann")

    assert live(execution, tag).status_code == 200


def test_child_makes_it_new(client, person, execution, live):
    person("vic", "view")
    tag = live(execution).headers["ETag"]

    WorkflowExecutionFactory(parent_id=execution.id)

    assert live(execution, tag).status_code == 200


def test_entry_makes_it_new(client, person, execution, live):
    person("vic", "view")
    tag = live(execution).headers["ETag"]

    WorkflowEntryFactory(execution_id=execution.id)

    assert live(execution, tag).status_code == 200


def test_tag_of_one_user_is_not_that_of_another(client, person, execution, live):
    person("vic", "view")
    tag = live(execution).headers["ETag"]
    person("boss", "view", "cancel")

    changed = live(execution, tag)

    assert changed.status_code == 200
    assert "Cancel…" in changed.content.decode()


def test_it_stops_when_the_execution_has_ended(client, person, page_of, execution, live):
    person("vic", "view")
    going = live(execution)
    WorkflowExecution.objects.update(status="completed")

    ended = live(execution)

    assert "X-Workflows-Live" not in going.headers
    assert ended.headers["X-Workflows-Live"] == "off"
    assert "data-live-url" not in client.get(page_of(execution)).content.decode()
