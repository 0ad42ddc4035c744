"""A body that comes in chunks, of a length that nobody has told."""

import asyncio
import base64
import http.client
import json
from urllib.parse import urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.asgi import get_asgi_application

from django_workflows import run, wiring
from django_workflows.steps import Halt

pytestmark = pytest.mark.django_db(transaction=True)

SAID = {"response": "only if the customer signs"}


@pytest.fixture
def halted(registered):
    User.objects.create_superuser("root", password="pw")
    return run(registered("halting", ask=Halt("?"))).execution_id


def headers():
    login = base64.b64encode(b"root:pw").decode()
    return {"Authorization": f"Basic {login}", "Content-Type": "application/json"}


def given(execution_id):
    waits = wiring.store().waits(execution_id)
    return [answer.response for wait in waits for answer in wait.answers]


def test_under_wsgi_it_is_refused_and_nothing_is_done(halted, live_server):
    connection = http.client.HTTPConnection(urlsplit(live_server.url).netloc, timeout=20)
    body = iter([json.dumps(SAID).encode()])

    connection.request(
        "POST", f"/api/executions/{halted}/resume/", body, headers(), encode_chunked=True
    )
    reply = connection.getresponse()

    assert reply.status == 411
    assert "Content-Length" in json.loads(reply.read())["detail"]
    assert given(halted) == []
    connection.close()


@pytest.mark.parametrize(("said", "status"), [(SAID, 200), (SAID | {"foo": 1}, 400)])
def test_under_asgi_it_is_read(halted, said, status):
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": f"/api/executions/{halted}/resume/",
        "query_string": b"",
        "headers": [
            (b"transfer-encoding", b"chunked"),
            *((name.lower().encode(), value.encode()) for name, value in headers().items()),
        ],
    }
    text = json.dumps(said).encode()
    parts = [
        {"type": "http.request", "body": text[:9], "more_body": True},
        {"type": "http.request", "body": text[9:], "more_body": False},
    ]
    sent = []

    async def receive():
        return parts.pop(0) if parts else await asyncio.Future()

    async def send(message):
        sent.append(message)

    asyncio.run(get_asgi_application()(scope, receive, send))

    assert sent[0]["status"] == status
    assert given(halted) == ([said["response"]] if status == 200 else [])
