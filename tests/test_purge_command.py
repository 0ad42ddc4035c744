"""``manage.py workflows purge``."""

import os
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from django_workflows import cancel, run, start, wiring
from django_workflows.models import WorkflowEntry, WorkflowExecution
from django_workflows.steps import Call, Halt, SubWorkflow

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def unsignalled(monkeypatch):
    """Leave the signals of the process that tests to it."""
    monkeypatch.setattr("django_workflows.management.verbs.purge.stop_on_signals", lambda _: None)
    yield
    wiring.stopping.clear()


@pytest.fixture
def counted(registered):
    return registered("counted", work=Call(lambda: 1))


@pytest.fixture
def failing(registered):
    return registered("failing", work=Call(lambda: 1 / 0))


def purge(*options):
    out = StringIO()
    call_command("workflows", "purge", "--pause=0", *options, stdout=out)
    return out.getvalue().strip()


def test_what_ended_long_enough_ago_is_deleted(counted, travel):
    run(counted)
    travel(10 * 86400)
    young = run(counted)
    travel(86400)

    said = purge("--older-than", "10")

    assert said == "Deleted 1 execution."
    assert [row.id for row in WorkflowExecution.objects.all()] == [young.execution_id]
    assert set(WorkflowEntry.objects.values_list("execution_id", flat=True)) == {young.execution_id}


def test_the_setting_says_how_long_is_kept(counted, travel, settings):
    settings.WORKFLOWS = {"RETENTION_DAYS": 30}
    run(counted)
    travel(29 * 86400)
    assert purge() == "Deleted 0 executions."
    travel(2 * 86400)

    assert purge() == "Deleted 1 execution."


def test_the_option_goes_before_the_setting(counted, settings):
    settings.WORKFLOWS = {"RETENTION_DAYS": 30}
    run(counted)

    assert purge("--older-than", "0") == "Deleted 1 execution."


def test_without_either_it_says_what_to_do():
    with pytest.raises(CommandError, match="Say --older-than DAYS, or set WORKFLOWS"):
        purge()


@pytest.mark.parametrize("kept", ["30", 0, -1, 36_501])
def test_a_setting_that_does_not_fit_is_refused(settings, kept):
    settings.WORKFLOWS = {"RETENTION_DAYS": kept}

    with pytest.raises(CommandError, match=rf"RETENTION_DAYS'\] is {kept!r}: it has to be"):
        purge()


def test_what_is_under_way_stays(registered):
    halted = run(registered("asking", ask=Halt("?")))

    assert purge("--older-than", "0") == "Deleted 0 executions."
    assert WorkflowExecution.objects.filter(pk=halted.execution_id).exists()


def test_a_parent_that_waits_for_its_child_keeps_both(registered):
    registered("inner", ask=Halt("?"))
    outer = registered("outer", child=SubWorkflow("inner"))
    parent = run(outer)
    child = WorkflowExecution.objects.get(parent=parent.execution_id)
    cancelled = registered("lonely", ask=Halt("?"))
    cancel(run(cancelled).execution_id)

    assert purge("--older-than", "0") == "Deleted 1 execution."

    left = set(WorkflowExecution.objects.values_list("id", flat=True))
    assert left == {parent.execution_id, child.id}


def test_a_parent_that_has_ended_goes_with_its_child(registered, counted):
    run(registered("outer", child=SubWorkflow("counted")))

    assert purge("--older-than", "0") == "Deleted 2 executions."
    assert not WorkflowExecution.objects.exists()


def test_by_workflow_and_status(counted, failing):
    done, failed = run(counted), run(failing)

    assert purge("--older-than=0", "--workflow", "gone", "counted", "--status", "failed") == (
        "Deleted 0 executions."
    )
    assert purge("--older-than=0", "--workflow", "gone") == "Deleted 0 executions."
    assert purge("--older-than=0", "--status", "cancelled", "--status", "failed") == (
        "Deleted 1 execution."
    )
    assert not WorkflowExecution.objects.filter(pk=failed.execution_id).exists()
    assert purge("--older-than=0", "--workflow=counted") == "Deleted 1 execution."
    assert not WorkflowExecution.objects.filter(pk=done.execution_id).exists()


def test_of_a_workflow_whose_code_is_gone(counted):
    run(counted)
    WorkflowExecution.objects.update(workflow_id="long_gone")

    assert purge("--older-than=0", "--workflow", "long_gone") == "Deleted 1 execution."


def test_dry_run_says_how_many_and_deletes_nothing(registered, counted):
    run(registered("outer", child=SubWorkflow("counted")))
    run(counted)

    said = purge("--older-than=0", "--dry-run")

    assert said == "Would delete 3 executions, in 2 trees."
    assert WorkflowExecution.objects.count() == 3


def test_several_batches(counted):
    for _ in range(5):
        run(counted)

    assert purge("--older-than=0", "--batch=2") == "Deleted 5 executions."


def test_the_same_key_starts_anew(counted):
    old = start(counted, idempotency_key="7")
    purge("--older-than=0")

    new = start(counted, idempotency_key="7")

    assert new.id != old.id
    assert WorkflowEntry.objects.filter(execution=new.id).exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--older-than=-1"], "'-1' is no whole number of days from 0 to 36500"),
        (["--older-than=1.5"], "'1.5' is no whole number of days"),
        (["--older-than=36501"], "'36501' is no whole number of days"),
        (["--batch=0"], "'0' is no number of at least 1"),
        (["--pause=-1"], "'-1' is no number of seconds of at least 0"),
        (["--pause=soon"], "'soon' is no number of seconds"),
        (["--pause=nan"], "'nan' is no number of seconds"),
        (["--pause=inf"], "'inf' is no number of seconds"),
        (["--workflow="], "a name must not be empty"),
        (["--status=halted"], "'halted' is no status of what has ended; these are: completed,"),
        (["--status=done"], "these are: completed, failed, cancelled"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(CommandError) as caught:
        purge(*options)

    assert message in str(caught.value)


def test_it_stops_between_two_batches(counted, monkeypatch):
    for _ in range(5):
        run(counted)
    whole = type(wiring.store()).purge

    def purged(store, *arguments):
        wiring.stopping.set()
        return whole(store, *arguments)

    monkeypatch.setattr(type(wiring.store()), "purge", purged)

    said = purge("--older-than=0", "--batch=2")

    assert said == ("Deleted 2 executions. Stopped before the end: run it again for the rest.")
    assert WorkflowExecution.objects.count() == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_code_0(counted, number):
    for _ in range(3):
        run(counted)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "django", "workflows", "purge", "--older-than=0"),
            *("--batch=1", "--pause=60"),
        ],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    until = time.monotonic() + 30
    while WorkflowExecution.objects.count() == 3 and time.monotonic() < until:
        time.sleep(0.05)

    process.send_signal(number)
    said, _ = process.communicate(timeout=30)

    assert (process.returncode, said.strip()) == (
        0,
        "Deleted 1 execution. Stopped before the end: run it again for the rest.",
    )
    connection.close()
    assert WorkflowExecution.objects.count() == 2
