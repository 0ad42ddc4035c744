"""The events of an execution through an ASGI server."""

import http.client
import socket
import threading
import time
from contextlib import contextmanager

import pytest
import uvicorn
from django.contrib.auth.models import User
from django.core.handlers.asgi import ASGIHandler
from django.test import Client

from django_workflows import cancel, run
from django_workflows.rest_framework import streaming
from django_workflows.rest_framework.executions import ExecutionViewSet
from django_workflows.steps import Halt
from tests.rest_framework.test_streaming import events

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def serving():
    """Serve with uvicorn in a thread; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(ASGIHandler(), lifespan="off", log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture
def cookie(settings):
    settings.ROOT_URLCONF = "tests.fuzz.urls"
    client = Client()
    client.force_login(User.objects.create_superuser("root"))
    return f"sessionid={client.cookies['sessionid'].value}"


def test_events_come_as_they_happen(registered, cookie, monkeypatch):
    pace = streaming.Pace(poll=0.05, heartbeat=0.2, asgi=20)
    monkeypatch.setattr(ExecutionViewSet, "pace", pace)
    execution_id = run(registered("halts", ask=Halt("?"))).execution_id

    with serving() as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        path = f"/api/executions/{execution_id}/events/"
        connection.request("GET", path, headers={"Cookie": cookie, "Accept": "text/event-stream"})
        reply = connection.getresponse()
        text = ""
        while "event: step.halted" not in text or ": still here" not in text:
            text += reply.readline().decode()
        began = time.monotonic()
        cancel(execution_id, "enough")
        text += reply.read().decode()
        connection.close()

    assert time.monotonic() - began < 5
    steps = [name for _, name, _ in events(text) if name != "status"]
    assert steps == ["step.halted", "step.cancelled", "end"]
