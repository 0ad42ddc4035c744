"""``workflows check``, and what the older verbs say as JSON."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError

from django_workflows import registry, run, wiring
from django_workflows.core import clock
from django_workflows.core.presence import Presence
from tests.management.conftest import refused, seen, workflows

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = """
id: good
name: Good
version: "1"
steps:
  - {id: done, type: end}
"""
BAD = """
id: bad
name: Bad
version: "1"
steps:
  - {id: a, type: assign, set: {x: 1}, next: nowhere}
"""


@pytest.fixture
def document(tmp_path):
    def write(name, text):
        file = tmp_path / name
        file.write_text(text)
        return str(file)

    return write


def test_all_is_well():
    told = workflows("check")

    assert told.code == 0
    assert told.out == f"All is well: {len(registry)} workflows registered.\n"
    assert workflows("check", "--json").data == {"problems": []}


def test_what_is_wrong_with_the_settings(settings):
    settings.WORKFLOWS = {"LEASE": 0}

    told = workflows("check")

    assert told.code == 1
    assert told.lines == [
        "✗ WORKFLOWS['LEASE'] is 0. (workflows.E032)",
        "    It has to be a positive number of seconds.",
    ]
    [problem] = workflows("check", "--json").data["problems"]
    assert (problem["id"], problem["level"]) == ("workflows.E032", "error")


def test_a_check_that_is_silenced_is_not_told(settings):
    settings.WORKFLOWS = {"LEASE": 0}
    settings.SILENCED_SYSTEM_CHECKS = ["workflows.E032"]

    assert workflows("check").code == 0


def test_documents_are_read(document):
    told = workflows("check", document("good.yaml", GOOD))

    assert (told.code, told.out) == (0, "All is well: 1 document read.\n")
    assert "good" not in [cells[0] for cells in workflows("list", "workflows").cells]


def test_what_is_wrong_with_documents(document):
    bad = document("bad.yaml", BAD)

    told = workflows("check", document("good.yaml", GOOD), bad)

    assert told.code == 1
    assert told.lines[0].startswith(f"✗ {bad}:6: ")
    assert "nowhere" in told.out
    assert "✗" in seen("check", bad).out


def test_a_document_that_is_no_text(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_bytes(b"\xff\xfe\x00")

    assert workflows("check", file).code == 1


def test_a_document_that_is_not_there():
    assert refused("check", "none.yaml") == (2, "There is no file 'none.yaml'.")


# The older verbs --------------------------------------------------------------------------------


def test_doctor_as_json():
    told = workflows("doctor", "--json")

    assert told.code == 1
    assert told.data["findings"][0]["what"].startswith("No supervisor is running")
    assert told.data["findings"][0]["cure"]
    now = clock.now()
    wiring.store().announce(Presence(drives=True, swept_at=now))
    assert workflows("doctor", "--json").data == {"findings": [], "processes": 1}


def test_doctor_on_a_terminal(settings):
    assert "✗ No supervisor" in seen("doctor").out


def test_purge_as_json(doing, monkeypatch):
    monkeypatch.setattr("django_workflows.management.verbs.purge.stop_on_signals", lambda _: None)
    run(doing)

    counted = workflows("purge", "--older-than", "0", "--dry-run", "--json")
    purged = workflows("purge", "--older-than", "0", "--pause", "0", "--json")

    assert counted.data == {"executions": 1, "trees": 1}
    assert purged.data == {"deleted": 1, "is_over": True}


def test_purge_on_a_terminal(doing, monkeypatch):
    monkeypatch.setattr("django_workflows.management.verbs.purge.stop_on_signals", lambda _: None)
    run(doing)

    assert "Deleted 1 execution." in seen("purge", "--older-than", "0", "--pause", "0").out


def test_supervise_once_as_json():
    assert workflows("supervise", "--once", "--json").data == {"woken": 0}


@pytest.fixture
def stopped(monkeypatch):
    """Let what runs until it is told to stop be told so at once."""
    for module in ("supervise", "worker"):
        place = f"django_workflows.management.verbs.{module}.stop_on_signals"
        monkeypatch.setattr(place, lambda flag: flag.set())
    yield
    wiring.stopping.clear()


def test_supervise_and_worker_say_what_they_do(stopped, settings):
    settings.WORKFLOWS = {
        "ADAPTER": {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}
    }

    assert workflows("supervise").out == "Supervising. Ctrl-C ends it.\n"
    assert workflows("supervise", "--once").out == "Woke 0 executions.\n"
    assert workflows("worker").out.startswith("Working for DatabaseAdapter on every queue: 1 x 1")
    assert workflows("supervise", "--json").data == {"supervising": True}
    assert workflows("worker", "--json", "--queues", "slow").data == {
        "adapter": "DatabaseAdapter",
        "queues": ["slow"],
        "processes": 1,
        "threads": 1,
    }


# Errors -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OperationalError("no\nsuch table"), ImproperlyConfigured("no")])
def test_what_django_raises_is_a_sentence_too(monkeypatch, error):
    def fail(*line, **more):
        raise error

    monkeypatch.setattr("django_workflows.management.verbs.lists._found", fail)

    code, said = refused("list")

    assert code == 1
    assert said == f"{type(error).__name__}: {' '.join(str(error).split())}"


def test_a_closed_pipe_has_a_code_of_its_own(monkeypatch):
    def closed(*line, **more):
        raise BrokenPipeError

    monkeypatch.setattr("django_workflows.management.verbs.lists._found", closed)
    monkeypatch.setattr("django_workflows.management.commands.workflows._write_nowhere", int)

    assert workflows("list").code == 141


def test_every_verb_has_a_help_and_json():
    from django_workflows.management.commands.workflows import Command

    command = Command()
    parser = command.create_parser("manage.py", "workflows")
    [verbs] = [action for action in parser._actions if action.dest == "verb"]

    assert {*verbs.choices} == {*command.verbs}
    for name, sub in verbs.choices.items():
        assert "--json" in sub.format_help(), name
        assert sub.description, name
