"""docs/howto/rest-api.md, followed in a shell: each curl of it answers what the page shows."""

import json
import os
import re
import shutil
import subprocess

import pytest
from django.contrib.auth.models import Group, Permission, User

from django_workflows import registry
from tests.docs.blocks import ROOT, blocks_of

PAGE = ROOT / "docs" / "howto" / "rest-api.md"
BLOCKS = list(blocks_of(PAGE))
HOST = "http://localhost:8000"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed"),
]


@pytest.fixture
def workflow():
    """The workflow of the page, registered."""
    known = set(registry)
    (code,) = [block.code for block in BLOCKS if "@register" in block.code]
    exec(compile(code, str(PAGE), "exec"), {"__name__": "page"})
    yield
    for name in set(registry) - known:
        registry.remove(name)


@pytest.fixture
def people():
    managers = Group.objects.create(name="managers")
    rita, *approvers = [
        User.objects.create_user(name, password="secret") for name in ("rita", "max", "mia")
    ]
    rita.user_permissions.add(Permission.objects.get(codename="start_workflowexecution"))
    managers.user_set.add(*approvers)


def split(code):
    """Return the command of a block and what is shown below it."""
    command, _, shown = re.sub(r"\\\n", "", code).partition("\n")
    return command.removeprefix("$ "), shown


def assert_shown(shown, told):
    """What the page shows is there; "…" is anything, and what it leaves out is not asked for."""
    if isinstance(shown, dict):
        for name, value in shown.items():
            assert_shown(value, told[name])
    elif isinstance(shown, list):
        assert len(shown) == len(told)
        for one, other in zip(shown, told, strict=True):
            assert_shown(one, other)
    elif shown != "…":
        assert shown == told


def lines_of_stream(text):
    """Return the lines of a stream, ids and data as far as the page shows them."""
    kept = [line for line in text.strip().splitlines() if not line.startswith(("id: ", "data: "))]
    steps = re.findall(r'"step": "(\w+)", (?:"step_type": "\w*", )?"action": "(\w+)"', text)
    return kept, steps, len(re.findall(r"^id: ", text, re.MULTILINE))


def test_page_is_followed(live_server, workflow, people, tmp_path):
    surroundings = {"PATH": os.environ["PATH"]}
    curls = [block for block in BLOCKS if block.code.startswith("$ curl")]
    assert len(curls) == 7

    for block in curls:
        command, shown = split(block.code)
        done = subprocess.run(
            ["bash", "-c", command.replace(HOST, live_server.url)],
            check=True,
            capture_output=True,
            text=True,
            env=surroundings,
        )
        if shown.startswith("{"):
            told = json.loads(done.stdout)
            assert_shown(json.loads(shown), told)
            if told.get("workflow"):
                surroundings["EXECUTION"] = told["id"]
            elif "prompt" in shown:
                surroundings["APPROVAL"] = told["results"][0]["id"]
        else:
            assert lines_of_stream(done.stdout) == lines_of_stream(shown)
