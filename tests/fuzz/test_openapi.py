"""Requests that schemathesis makes up from the OpenAPI document, against a live server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from django_workflows.models import WorkflowExecution
from django_workflows.rest_framework import streaming
from django_workflows.rest_framework.executions import ExecutionViewSet
from tests.fuzz import data

pytestmark = pytest.mark.django_db(transaction=True)

HERE = Path(__file__).parent

#: In each form: how many requests there are for each operation, at most.
EXAMPLES, LONG_EXAMPLES = 20, 500


@pytest.fixture
def server(live_server, settings, registered, tmp_path, monkeypatch):
    """The API with data in it, and the URL of its document."""
    settings.ROOT_URLCONF = "tests.fuzz.urls"
    settings.LOGGING_CONFIG = None
    User.objects.create_superuser("root", password="root")
    # Nobody waits here for what happens next.
    monkeypatch.setattr(ExecutionViewSet, "pace", streaming.Pace(poll=0.01, wsgi=0.02))
    known = tmp_path / "data.json"
    known.write_text(json.dumps(data.make(registered)))
    monkeypatch.setenv("FUZZ_DATA", str(known))
    monkeypatch.setenv("SCHEMATHESIS_HOOKS", "tests.fuzz.hooks")
    return f"{live_server.url}/schema/?format=json"


def test_no_request_breaks_it_and_no_reply_breaks_its_word(server, is_long, seed, tmp_path):
    examples = LONG_EXAMPLES if is_long else EXAMPLES
    chance = [] if seed is None else ["--seed", str(seed)]
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        *("--config-file", str(HERE / "schemathesis.toml")),
        *("run", server, "--checks", "all", "--auth", "root:root"),
        *("--max-examples", str(examples), "--continue-on-failure", "--no-color"),
        *("--suppress-health-check", "all", "--include-path-regex", "^/api/", *chance),
    ]

    # It leaves a folder behind; its hooks are found from the root.
    surroundings = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(HERE.parent.parent)}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env=surroundings
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    # It has been about something: executions were started, and others went on.
    assert WorkflowExecution.objects.filter(idempotency_key__startswith="rest:").exists()
    assert WorkflowExecution.objects.exclude(status="pending").count() > 10
