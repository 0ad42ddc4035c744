from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from django_workflows import api, wiring
from django_workflows.admin.dashboard import doctor
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import WaitKind
from django_workflows.exceptions import StoreUnavailable
from django_workflows.steps import Approval
from tests.factories import PresenceFactory, WorkflowExecutionFactory, WorkflowWaitFactory

pytestmark = pytest.mark.django_db(transaction=True)

SCRIPT = "<script>alert(1)</script>"
URL = "admin:django_workflows_dashboard"


@pytest.fixture(autouse=True)
def fresh_doctor():
    doctor.forget()
    yield
    doctor.forget()


def dashboard(client, **query):
    return client.get(reverse(URL), query)


def test_counts_lead_to_the_list_of_what_they_count(client, person, list_url):
    person("vic", "view")
    WorkflowExecutionFactory.create_batch(3, status=ExecutionStatus.FAILED, error="E")

    answer = dashboard(client)

    (failed,) = [tile for tile in answer.context["tiles"] if tile.status == "failed"]
    assert str(failed.count) == "3"
    assert failed.url == f"{list_url}?status=failed"
    assert failed.url in answer.content.decode()


def test_hours_are_a_chart_and_its_table(client, person):
    person("vic", "view")
    WorkflowExecutionFactory()

    page = dashboard(client).content.decode()

    assert "<svg" in page
    assert page.count('<th scope="row">') == 24
    assert '<td class="wf-number-cell">1</td>' in page


def test_oldest_wait_leads_to_its_execution(client, person, registered, page_of):
    registered("review", ask=Approval(f"Really? {SCRIPT}", approvers=["user:mary"]))
    person("vic", "view")
    execution = api.start("review")

    page = dashboard(client).content.decode()

    assert page_of(execution) in page
    assert "at <b>ask</b> (approval)" in page
    assert SCRIPT not in page


def test_overdue_timers_are_told(client, person):
    person("vic", "view")
    late = clock.now() - timedelta(minutes=5)
    WorkflowWaitFactory(kind=WaitKind.TIMER, wake_at=late, step="nap")
    WorkflowWaitFactory(kind=WaitKind.TIMER, wake_at=clock.now() + timedelta(hours=1))

    answer = dashboard(client)

    assert str(answer.context["overdue"]) == "1"
    assert "nap, <time" in answer.content.decode()


def test_many_overdue_timers_are_counted(client, person):
    person("vic", "view")
    late = clock.now() - timedelta(minutes=5)
    WorkflowWaitFactory.create_batch(7, kind=WaitKind.TIMER, wake_at=late)

    answer = dashboard(client)

    assert str(answer.context["overdue"]) == "7"
    assert len(answer.context["overdue_waits"]) == 5


def test_workers_are_shown_with_queues_and_heartbeat(client, person):
    person("vic", "view")
    store = wiring.store()
    store.announce(PresenceFactory(host="one", pid=1, drives=True, queues=("slow", "fast")))
    store.announce(PresenceFactory(host="two", pid=2, drives=True, swept_at=clock.now()))
    store.announce(PresenceFactory(host="sup", pid=3, swept_at=clock.now(), adapter="a.b.Adapter"))

    answer = dashboard(client)

    shown = {worker.name: (str(worker.does), worker.queues) for worker in answer.context["workers"]}
    assert shown == {
        "one:1": ("worker", "slow, fast"),
        "two:2": ("worker, supervisor", "all queues"),
        "sup:3": ("supervisor", "-"),
    }
    assert "0 s ago" in answer.content.decode()


def test_doctor_findings_come_with_their_cure(client, person):
    person("vic", "view")

    page = dashboard(client).content.decode()

    assert "No supervisor is running" in page
    assert "workflows supervise" in page


def test_who_is_only_asked_sees_no_processes(client, person, registered):
    registered("review", ask=Approval("?", approvers=["user:amy"]))
    api.start("review")
    api.start("review")
    WorkflowExecutionFactory()
    person("amy")

    answer = dashboard(client)

    assert answer.status_code == 200
    assert "workers" not in answer.context
    assert sum(tile.count.number for tile in answer.context["tiles"]) == 2


def test_who_may_only_start_sees_no_processes(client, person):
    wiring.store().announce(PresenceFactory(host="one", pid=1, drives=True))
    WorkflowExecutionFactory(started_by="sam")
    WorkflowExecutionFactory(started_by="bob")
    person("sam", "start")

    answer = dashboard(client)

    page = answer.content.decode()
    assert "one:1" not in page
    assert "No supervisor is running" not in page
    assert "workers" not in answer.context
    assert sum(tile.count.number for tile in answer.context["tiles"]) == 1


def test_stranger_is_refused_with_a_sentence(client, person):
    person("eve")

    answer = dashboard(client)

    assert answer.status_code == 403
    assert "eve may not view" in answer.content.decode()


def test_store_that_does_not_answer_is_told(client, person, monkeypatch):
    def silent():
        raise StoreUnavailable("redis", "gone away")

    monkeypatch.setattr("django_workflows.admin.dashboard.health.alive", silent)
    person("vic", "view")

    assert "The store redis does not answer" in dashboard(client).content.decode()


def test_live_part_is_sent_once_as_long_as_it_is_the_same(client, person):
    person("vic", "view")

    first = dashboard(client, live="1")
    again = client.get(reverse(URL), {"live": "1"}, headers={"If-None-Match": first["ETag"]})

    assert "<html" not in first.content.decode()
    assert again.status_code == 304


def test_takes_few_queries_however_much_there_is(client, person):
    person("vic", "view")
    WorkflowExecutionFactory.create_batch(20)
    WorkflowWaitFactory.create_batch(20)
    dashboard(client)

    with CaptureQueriesContext(connection) as queries:
        dashboard(client)

    assert len(queries) <= 12


def test_doctor_is_not_asked_at_each_look(client, person, travel):
    person("vic", "view")
    assert "No supervisor is running" in dashboard(client).content.decode()
    wiring.store().announce(PresenceFactory(swept_at=clock.now()))

    soon = dashboard(client).content.decode()
    doctor.forget()
    later = dashboard(client).content.decode()

    assert "No supervisor is running" in soon
    assert "No supervisor is running" not in later
