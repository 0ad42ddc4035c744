"""``manage.py workflows worker`` and ``supervise`` as processes, over the test database."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest

from django_workflows import api, registry, start
from tests.workers.settings import WORKFLOWS

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module", autouse=True)
def slowly():
    """Know, for these tests alone, the workflow that the processes know by their settings."""
    import_module("tests.workers.flows.workflows")
    yield
    registry.remove("slowly")


@pytest.fixture(autouse=True)
def polled(settings):
    settings.WORKFLOWS = WORKFLOWS


@pytest.fixture
def command():
    """Start ``workflows`` with arguments as a process of its own; it is gone when the test ends."""
    processes = []

    def begin(*arguments, settings="tests.workers.settings"):
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "workflows", *arguments],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def written(path):
    return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []


def pid_in(path):
    return int(path.read_text().split()[1])


def children_of(process):
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in found.split()]


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_term_lets_the_step_finish_and_gives_the_execution_back(command, tmp_path, eventually):
    notes = tmp_path / "notes"
    execution = start("slowly", {"path": str(notes), "seconds": 1.5})
    worker = command("worker")
    eventually(lambda: written(notes) == ["first"])

    worker.terminate()

    assert worker.wait(10) == 0
    left = api.get(execution.id)
    assert (left.status, left.current_step, left.claims) == ("pending", "second", 0)
    assert (left.lease_owner, left.lease_expires_at) == (None, None)
    assert written(notes) == ["first"]
    command("worker")
    eventually(lambda: api.get(execution.id).status == "completed")
    assert written(notes) == ["first", "second"]


def test_worker_that_is_killed_is_followed_by_another(command, tmp_path, eventually):
    notes = tmp_path / "notes"
    pool = command("worker", "--processes", "2")
    execution = start("slowly", {"path": str(notes), "seconds": 1})
    eventually(lambda: written(notes) == ["first"])

    os.kill(pid_in(notes), signal.SIGKILL)

    eventually(lambda: api.get(execution.id).status == "completed", seconds=30)
    assert written(notes) == ["first", "first", "second"]
    eventually(lambda: len(children_of(pool)) == 2)
    assert "abandoned" in [entry.action for entry in _entries(execution)]


def _entries(execution):
    from django_workflows import wiring

    return wiring.store().entries(execution.id)


def test_term_of_a_pool_ends_all_of_it(command, tmp_path, eventually):
    pool = command("worker", "--processes", "2", "--threads", "2")
    eventually(lambda: len(children_of(pool)) == 2)
    execution = start("slowly", {"path": str(tmp_path / "notes")})
    eventually(lambda: api.get(execution.id).status == "completed")
    children = children_of(pool)

    pool.terminate()

    assert pool.wait(15) == 0
    assert not any(is_there(pid) for pid in children)


def test_term_of_the_whole_group_lets_the_step_finish(command, tmp_path, eventually):
    notes = tmp_path / "notes"
    execution = start("slowly", {"path": str(notes), "seconds": 1.5})
    pool = command("worker", "--processes", "2")
    eventually(lambda: written(notes) == ["first"])

    os.killpg(pool.pid, signal.SIGTERM)  # as systemd does, and then the parent passes it on

    assert pool.wait(15) == 0
    left = api.get(execution.id)
    assert (left.status, left.current_step) == ("pending", "second")


def test_lease_names_the_process_that_drives(command, tmp_path, eventually):
    notes = tmp_path / "notes"
    execution = start("slowly", {"path": str(notes), "seconds": 1.5})

    command("worker", "--processes", "2")
    eventually(lambda: written(notes) == ["first"])

    _, pid, _ = api.get(execution.id).lease_owner.rsplit(":", 2)
    assert int(pid) == pid_in(notes)


def test_workers_end_once_their_parent_was_killed(command, eventually):
    pool = command("worker", "--processes", "2")
    eventually(lambda: len(children_of(pool)) == 2)
    children = children_of(pool)

    os.kill(pool.pid, signal.SIGKILL)

    eventually(lambda: not any(is_there(pid) for pid in children))


def test_second_signal_ends_it_at_once(command, tmp_path, eventually):
    notes = tmp_path / "notes"
    start("slowly", {"path": str(notes), "seconds": 30})
    worker = command("worker")
    eventually(lambda: written(notes) == ["first"])

    worker.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(1)
    worker.terminate()

    assert worker.wait(5) == -signal.SIGTERM


def test_supervisor_runs_until_it_is_told_to_end(command, eventually):
    from django_workflows import wiring

    supervisor = command("supervise")
    eventually(lambda: [one for one in wiring.store().present() if one.swept_at])

    supervisor.terminate()

    assert supervisor.wait(10) == 0
    assert wiring.store().present() == []


def test_supervisor_that_drives_leaves_the_rest_to_others_once_told_to_end(
    command, tmp_path, eventually
):
    notes = tmp_path / "notes"
    execution = start("slowly", {"path": str(notes), "seconds": 1.5})
    supervisor = command("supervise", settings="tests.workers.inline_settings")
    eventually(lambda: written(notes) == ["first"])

    supervisor.terminate()

    assert supervisor.wait(10) == 0
    left = api.get(execution.id)
    assert (left.status, left.current_step) == ("pending", "second")
    assert (left.fence, left.claims) == (1, 0)


def test_supervisor_may_look_once(command):
    done = command("supervise", "--once")

    assert done.wait(20) == 0
    assert done.stdout.read() == "Woke 0 executions.\n"


@pytest.mark.parametrize("option", ["--threads", "--processes"])
def test_numbers_must_be_positive(command, option):
    refused = command("worker", option, "0")

    assert refused.wait(20) == 2
    assert "'0' is no number of at least 1" in refused.stdout.read()


def test_adapter_without_a_worker_is_refused_with_a_reason(monkeypatch, capsys):
    from django.core.management import CommandError, call_command

    from django_workflows import wiring

    monkeypatch.setattr(
        type(wiring.adapter()), "work", lambda self, hands: super(type(self), self).work(hands)
    )
    monkeypatch.setattr("django_workflows.management.verbs.worker.stop_on_signals", lambda _: None)

    try:
        with pytest.raises(CommandError, match="DatabaseAdapter has no worker that"):
            call_command("workflows", "worker")
    finally:
        wiring.stopping.clear()
