"""The events of an execution: what is sent, and when a connection ends."""

import asyncio
import json
import time
from dataclasses import replace

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connections
from django.test import AsyncRequestFactory

from django_workflows import cancel, run, wiring
from django_workflows.models import WorkflowEntry, WorkflowExecution
from django_workflows.rest_framework import streaming
from django_workflows.rest_framework.executions import ExecutionViewSet
from django_workflows.steps import Call

QUICK = streaming.Pace(poll=0.02, heartbeat=60, wsgi=0.3, asgi=0.3, again=0.5)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def pace(monkeypatch):
    """Set how long connections last, and how often they look."""

    def be(**options):
        monkeypatch.setattr(ExecutionViewSet, "pace", replace(QUICK, **options))

    be()
    return be


@pytest.fixture
def ended(registered):
    made = registered("two_steps", one=Call(lambda: 1), two=Call(lambda: {"line": "a\nb\r\u2028"}))
    return wiring.store().load(run(made).execution_id)


def events(text):
    """Parse a stream as a browser does; comments are left out."""
    found = []
    for part in text.split("\n\n"):
        fields = [line.partition(": ")[::2] for line in part.splitlines()]
        known = {name: value for name, value in fields if name in {"event", "id"}}
        if known:
            data = json.loads(dict(fields)["data"])
            found.append((known.get("id"), known["event"], data))
    return found


def follow(client, execution, headers=None, **query):
    """Read a connection to its end."""
    url = f"/api/executions/{execution.id}/events/"
    reply = client.get(url, query, headers={"Accept": "text/event-stream", **(headers or {})})
    assert reply.status_code == 200, reply.content
    return reply.getvalue().decode()


def test_history_of_what_has_ended(root, ended):
    first, second = WorkflowEntry.objects.order_by("pk")

    text = follow(root, ended)

    told = events(text)
    assert text.startswith("retry: 500\n\n")
    assert [(number, name) for number, name, _ in told] == [
        (None, "status"),
        (str(first.pk), "step.completed"),
        (str(second.pk), "step.completed"),
        (f"{second.pk}-end", "end"),
    ]
    assert told[0][2] == {"status": "completed", "step": "two", "attempt": 1}
    assert told[2][2]["output"] == {"line": "a\nb\r\u2028"}
    assert told[2][2]["step"] == "two"
    assert told[3][2] == {"status": "completed", "error": None}


@pytest.mark.parametrize("way", ["header", "parameter"])
def test_goes_on_after_the_last_event(root, ended, way):
    first, second = (str(row.pk) for row in WorkflowEntry.objects.order_by("pk"))

    if way == "header":
        told = events(follow(root, ended, {"Last-Event-ID": first}))
    else:
        told = events(follow(root, ended, last_event_id=first))

    assert [number for number, _, _ in told] == [None, second, f"{second}-end"]


def test_header_counts_before_the_parameter(root, ended):
    first, second = (str(row.pk) for row in WorkflowEntry.objects.order_by("pk"))

    told = events(follow(root, ended, {"Last-Event-ID": second}, last_event_id=first))

    assert [number for number, _, _ in told] == [None, f"{second}-end"]


def test_who_has_seen_the_end_is_told_to_stop(root, ended):
    last = events(follow(root, ended))[-1][0]
    url = f"/api/executions/{ended.id}/events/"

    assert root.get(url, headers={"Last-Event-ID": last}).status_code == 204
    # It lives again: there is more to come.
    WorkflowExecution.objects.update(status="pending")
    assert root.get(url, headers={"Last-Event-ID": last}).status_code == 200


@pytest.mark.parametrize("last", ["", "x", "-1", "1-", "1-end2", "9" * 19, "9" * 30, "1.5", "٣"])
def test_id_that_is_none_is_a_field_error(root, ended, last):
    url = f"/api/executions/{ended.id}/events/"

    by_parameter = root.get(url, {"last_event_id": last})

    assert by_parameter.status_code == 400
    assert [*by_parameter.json()] == ["last_event_id"]
    if last.isascii():
        by_header = root.get(url, headers={"Last-Event-ID": last, "Accept": "text/event-stream"})
        assert by_header.json() == {"Last-Event-ID": ["Must be the id of an event of this stream."]}


def test_headers_keep_proxies_from_collecting(root, ended):
    reply = root.get(f"/api/executions/{ended.id}/events/")

    assert reply["Content-Type"] == "text/event-stream"
    assert reply["Cache-Control"] == "no-cache, no-transform"
    assert reply["X-Accel-Buffering"] == "no"
    reply.close()


def test_head_is_answered_at_once(root, halted):
    reply = root.head(f"/api/executions/{halted.id}/events/")

    assert reply.status_code == 200
    assert reply.getvalue() == b""


def test_connection_lasts_as_long_as_it_may_and_no_longer(root, halted):
    began = time.monotonic()

    told = events(follow(root, halted))

    assert 0.3 <= time.monotonic() - began < 3
    assert [name for _, name, _ in told] == ["status", "step.halted"]


def test_busy_connection_ends_as_well_and_each_gets_further(root, ended, pace):
    pace(wsgi=0)
    seen, last = [], "0"

    for _ in range(3):
        told = events(follow(root, ended, {"Last-Event-ID": last}))
        last = told[-1][0]
        seen += [name for _, name, _ in told]

    assert seen == ["status", "step.completed", "status", "step.completed", "status", "end"]


def test_heartbeat_while_nothing_happens(root, halted, pace):
    pace(heartbeat=0.05)

    text = follow(root, halted)

    assert text.count(": still here\n\n") >= 2


def test_busy_connection_needs_no_heartbeat(root, ended, pace):
    pace(heartbeat=0)

    assert ": still here" not in follow(root, ended)


def test_long_history_is_read_in_parts(root, ended, monkeypatch):
    monkeypatch.setattr(streaming, "BATCH", 1)

    assert len(events(follow(root, ended))) == 4


def test_status_is_told_once_for_each_change(halted):
    rows = WorkflowExecution.objects.filter(pk=halted.id)
    blocks = streaming.Tail(lambda: rows, streaming.Place()).blocks()

    def upto_pause():
        return [name for _, name, _ in events("".join(iter(lambda: next(blocks), None)))]

    assert upto_pause() == ["status", "step.halted"]
    assert upto_pause() == []
    cancel(halted.id)
    assert "".join(blocks).count("event:") == 3  # status, step.cancelled, end


def test_few_entries_are_held_at_a_time():
    # Each may be of several megabytes, for each of those who follow.
    assert streaming.BATCH <= 10


def test_database_that_does_not_answer_ends_the_connection(root, halted, monkeypatch):
    def fail(*_):
        raise DatabaseError("gone")

    monkeypatch.setattr(streaming.Tail, "_entries", fail)

    assert follow(root, halted).endswith(": the database does not answer\n\n")


def test_error_is_json_whatever_was_asked_for(root):
    reply = root.get("/api/executions/x/events/", headers={"Accept": "text/event-stream"})

    assert reply.status_code == 404
    assert reply.json() == {"detail": "Not found."}


# Under ASGI -------------------------------------------------------------------------------------


def in_a_thread(call):
    try:
        call()
    finally:
        connections.close_all()  # the thread's own


async def read_async(path, user, *, then=None, **headers):
    """Follow through Django's own ASGI handler; ``then`` is called after the first entry."""
    from django.core.handlers.asgi import ASGIHandler

    sent = asyncio.Queue()
    scope = AsyncRequestFactory()._base_scope(path=path)
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    requests = [{"type": "http.request", "body": b""}]

    async def receive():
        return requests.pop() if requests else await asyncio.Event().wait()

    task = asyncio.create_task(ASGIHandler()(scope, receive, sent.put))
    start, text = await asyncio.wait_for(sent.get(), 10), ""
    while (message := await asyncio.wait_for(sent.get(), 10)).get("more_body"):
        text += message["body"].decode()
        if then and "event: step" in text:
            await sync_to_async(in_a_thread)(then)
            then = None
    await asyncio.wait_for(task, 10)
    return start, text


@pytest.fixture
def cookie(user):
    from django.test import Client

    client = Client()
    client.force_login(user("viewer", "view"))
    return f"sessionid={client.cookies['sessionid'].value}"


@pytest.mark.django_db(transaction=True)
def test_asgi_follows_what_happens_meanwhile(halted, cookie, pace):
    pace(asgi=20)
    path = f"/api/executions/{halted.id}/events/"

    start, text = asyncio.run(
        read_async(path, None, then=lambda: cancel(halted.id, "enough"), cookie=cookie)
    )

    assert start["status"] == 200
    # The status may be told before what led to it, or after.
    steps = [name for _, name, _ in events(text) if name != "status"]
    assert steps == ["step.halted", "step.cancelled", "end"]


@pytest.mark.django_db(transaction=True)
def test_asgi_connection_ends_and_another_goes_on(halted, cookie, pace):
    pace(heartbeat=0.05)
    path = f"/api/executions/{halted.id}/events/"

    _, text = asyncio.run(read_async(path, None, cookie=cookie))
    last = [number for number, _, _ in events(text) if number][-1]
    cancel(halted.id)
    _, rest = asyncio.run(read_async(path, None, cookie=cookie, **{"Last-Event-ID": last}))

    assert ": still here" in text
    assert [name for _, name, _ in events(text)] == ["status", "step.halted"]
    assert [name for _, name, _ in events(rest)] == ["status", "step.cancelled", "end"]


@pytest.mark.django_db(transaction=True)
def test_asgi_gives_the_connection_back_between_two_looks(halted, cookie, monkeypatch):
    given_back = []
    let_go = streaming._let_go
    monkeypatch.setattr(streaming, "_let_go", lambda: given_back.append(1) or let_go())

    asyncio.run(read_async(f"/api/executions/{halted.id}/events/", None, cookie=cookie))

    assert len(given_back) > 2


def test_connection_in_a_transaction_is_kept(halted):
    streaming._let_go()

    assert WorkflowExecution.objects.exists()
