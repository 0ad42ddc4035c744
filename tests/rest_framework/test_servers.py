"""Over a real connection: following an execution, and coming back to it."""

import http.client
import time
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from django_workflows import cancel, resume, run
from django_workflows.rest_framework import streaming
from django_workflows.rest_framework.executions import ExecutionViewSet
from django_workflows.steps import Call, Halt
from tests.rest_framework.test_streaming import events

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def pace(monkeypatch):
    """Make a server notice soon that nobody listens, and wait until it has."""
    quick = streaming.Pace(poll=0.05, heartbeat=0.05, wsgi=20)
    monkeypatch.setattr(ExecutionViewSet, "pace", quick)
    driven, running = streaming.driven, []

    def watched(*args):
        running.append(1)
        try:
            yield from driven(*args)
        finally:
            running.pop()

    monkeypatch.setattr(streaming, "driven", watched)
    return running


@pytest.fixture
def execution_id(registered):
    made = registered("asks_twice", one=Halt("?"), two=Halt("?"), work=Call(lambda: 1))
    return run(made).execution_id


@pytest.fixture
def connect(live_server, execution_id, pace):
    viewer = User.objects.create_user("viewer")
    viewer.user_permissions.add(Permission.objects.get(codename="view_workflowexecution"))
    client = Client()
    client.force_login(viewer)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    opened = []

    def open_stream(**headers):
        connection = http.client.HTTPConnection(urlsplit(live_server.url).netloc, timeout=20)
        opened.append(connection)
        headers |= {"Cookie": cookie, "Accept": "text/event-stream"}
        connection.request("GET", f"/api/executions/{execution_id}/events/", headers=headers)
        return connection.getresponse()

    yield open_stream
    for connection in opened:
        connection.close()
    until = time.monotonic() + 10
    while pace and time.monotonic() < until:
        time.sleep(0.02)
    assert not pace, "a stream that nobody reads goes on"


def read_until(reply, name):
    """Read as it comes, until an event of that name is complete."""
    seen, text = [], ""
    while name not in [event for _, event, _ in seen]:
        line = reply.readline().decode()
        assert line, f"the stream ended without {name}: {seen}"
        text += line
        if line == "\n":
            seen, text = seen + events(text), ""
    return seen


def test_what_happens_is_seen_as_it_happens(connect, execution_id):
    reply = connect()

    assert reply.getheader("Content-Type") == "text/event-stream"
    read_until(reply, "step.halted")
    resume(execution_id, response=1, wait=True)
    seen = read_until(reply, "step.resumed") + read_until(reply, "step.halted")
    cancel(execution_id)
    seen += read_until(reply, "end")

    assert [name for _, name, _ in seen if name != "status"] == [
        *("step.resumed", "step.completed", "step.halted", "step.cancelled", "end")
    ]
    assert reply.read() == b""


def test_client_that_was_killed_misses_nothing(connect, execution_id):
    first = connect()
    seen = read_until(first, "step.halted")
    first.close()  # as a process does that dies
    resume(execution_id, response=1, wait=True)
    resume(execution_id, response=2, wait=True)

    again = connect(**{"Last-Event-ID": seen[-1][0]})
    rest = read_until(again, "end")

    assert [name for _, name, _ in rest] == [
        "status",
        *("step.resumed", "step.completed", "step.halted", "step.resumed", "step.completed"),
        *("step.completed", "end"),
    ]
    ids = [int(number) for number, name, _ in seen + rest if number and name != "end"]
    assert ids == sorted(set(ids))
    assert connect(**{"Last-Event-ID": rest[-1][0]}).status == 204
