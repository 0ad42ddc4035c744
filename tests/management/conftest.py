import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command

from django_workflows.steps import Approval, Call, End, Halt

ROOT = Path(__file__).resolve().parent.parent.parent


class Terminal(StringIO):
    """Collects what a terminal would show."""

    def isatty(self):
        return True


class Told:
    """What a command said, and the code it ended with."""

    def __init__(self, code, out):
        self.code = code
        self.out = out

    @property
    def lines(self):
        return self.out.splitlines()

    @property
    def cells(self):
        return [line.split("\t") for line in self.lines]

    @property
    def data(self):
        return json.loads(self.out)

    @property
    def objects(self):
        return [json.loads(line) for line in self.lines]


def workflows(*line, out=None):
    """Run a verb; its errors are raised."""
    out = StringIO() if out is None else out
    try:
        call_command("workflows", *map(str, line), stdout=out)
    except SystemExit as ended:
        return Told(ended.code, out.getvalue())
    return Told(0, out.getvalue())


def seen(*line):
    """Run a verb on a terminal."""
    return workflows(*line, out=Terminal())


def refused(*line):
    """Return the code and the sentence that a verb ends with."""
    with pytest.raises(CommandError) as caught:
        workflows(*line)
    return caught.value.returncode, str(caught.value)


def shell(*line, piped=None, **options):
    """Run a verb in a process of its own."""
    return subprocess.run(
        command(*line),
        cwd=ROOT,
        env=environment(),
        input=piped,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def command(*line):
    return [sys.executable, "-m", "django", "workflows", *map(str, line)]


def environment():
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": os.environ.get("DJANGO_SETTINGS_MODULE", "tests.settings"),
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }


def fail():
    raise ValueError("the card is expired")


@pytest.fixture
def order(registered):
    """Halts for an approval by anybody, then fails."""
    return registered(
        "order", take=Call(lambda: 1), review=Approval("Ship it?"), ship=Call(fail), done=End()
    )


@pytest.fixture
def asking(registered):
    """Halts, and has the answer as its result."""
    return registered("asking", ask=Halt("How many?"), done=End())


@pytest.fixture
def doing(registered):
    return registered("doing", work=Call(lambda: 1), done=End())


@pytest.fixture
def failing(registered):
    return registered("failing", work=Call(fail), done=End())


@pytest.fixture
def person():
    """Make users with these permissions of executions."""

    def make(name, *actions):
        user = User.objects.create_user(name)
        codes = [f"{action}_workflowexecution" for action in actions]
        user.user_permissions.set(Permission.objects.filter(codename__in=codes))
        return user

    return make


@pytest.fixture(autouse=True)
def utc(settings):
    settings.TIME_ZONE = "UTC"
