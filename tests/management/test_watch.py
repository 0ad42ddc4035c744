"""``workflows watch``."""

import signal
import subprocess

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import cancel, get, resume, run, start
from django_workflows.management.verbs import watching
from django_workflows.models import WorkflowExecution
from django_workflows.steps import End, Halt
from tests.factories import WorkflowEntryFactory
from tests.management.conftest import ROOT, command, environment, refused, seen, workflows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def halted(asking):
    return run(asking).execution_id


@pytest.fixture
def meanwhile(monkeypatch):
    """Do things between the looks of a watch, one after each."""

    def plan(*things):
        left = list(things)

        def sleep(seconds):
            slept.append(seconds)
            left.pop(0)()

        slept = []
        monkeypatch.setattr(watching.time, "sleep", sleep)
        return slept

    return plan


def test_of_what_has_ended_the_history_is_told(order):
    failed = run(order).execution_id
    resume(failed, approved=True, wait=True)

    told = workflows("watch", failed)

    assert [cells[1:3] for cells in told.cells[:-1]] == [
        ["take", "completed"],
        ["review", "halted"],
        ["review", "resumed"],
        ["review", "completed"],
        ["ship", "failed"],
    ]
    assert told.cells[-1][:4] == [failed, "order", "1", "failed"]
    assert told.code == 1


def test_it_ends_when_the_execution_ends(halted, meanwhile):
    slept = meanwhile(lambda: None, lambda: resume(halted, response=7))

    told = workflows("watch", halted, "--interval", "2")

    assert told.code == 0
    assert slept == [2, 2]
    assert [cells[1:3] for cells in told.cells] == [
        ["ask", "halted"],
        ["halted", told.cells[1][2]],
        ["ask", "resumed"],
        ["ask", "completed"],
        ["done", "completed"],
        ["asking", "1"],
    ]
    assert told.cells[1][2].startswith("halted at ask since ")  # why, told once


def test_what_was_not_written_since_is_not_read_again(halted, meanwhile):
    meanwhile(*[lambda: None] * 5, lambda: cancel(halted))
    reads = []

    def look(execute, sql, params, many, context):
        if "workflowentry" in sql and sql.startswith("SELECT"):
            reads.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        assert workflows("watch", halted).code == 1

    assert len(reads) == 2


def test_only_what_is_new_is_read_and_of_what_was_the_end(halted, meanwhile):
    WorkflowEntryFactory.create_batch(300, execution_id=halted, execution=None)
    meanwhile(lambda: resume(halted, response=7))

    with CaptureQueriesContext(connection) as queries:
        told = workflows("watch", halted)

    reads = [query["sql"] for query in queries if "workflowentry" in query["sql"]]
    reads = [sql for sql in reads if sql.startswith("SELECT") and "COUNT(" not in sql]
    assert [sql for sql in reads if "LIMIT" not in sql and ".id > " not in unquoted(sql)] == []
    assert told.cells[0] == ["earlier", "101"]
    assert len(told.cells) == 1 + 200 + 1 + 3 + 1
    assert [cells[1:3] for cells in told.cells[-4:-1]] == [
        ["ask", "resumed"],
        ["ask", "completed"],
        ["done", "completed"],
    ]


def unquoted(sql):
    return sql.replace('"', "").replace("`", "")


def test_all_of_it_is_told_where_one_asks_for_it(halted):
    WorkflowEntryFactory.create_batch(300, execution_id=halted, execution=None)

    cut, whole = (workflows("watch", halted, "--halt", *line) for line in ((), ("--all",)))

    assert (len(cut.cells), len(whole.cells)) == (1 + 200 + 2, 301 + 2)
    assert "… and 101 before; --all shows them" in seen("watch", halted, "--halt").out
    assert {"earlier_entries": 101} in workflows("watch", halted, "--halt", "--json").objects
    told = workflows("watch", halted, "--halt", "--json", "--all").objects
    assert [one for one in told if "earlier_entries" in one] == []


def test_a_store_without_rows_is_watched_too(registered, settings, meanwhile):
    settings.WORKFLOWS = {
        **settings.WORKFLOWS,
        "STORE": {"BACKEND": "django_workflows.stores.memory.MemoryStore"},
    }
    halted = run(registered("asking", ask=Halt("How many?"), done=End())).execution_id
    meanwhile(lambda: resume(halted, response=7))

    told = workflows("watch", halted)

    steps = [cells[1:3] for cells in told.cells[:-1] if cells[0] != halted]
    assert [*steps[0], *steps[-1]] == ["ask", "halted", "done", "completed"]
    assert "entry" in [cells[0] for cells in workflows("show", halted, "--history", "1").cells]
    assert ["earlier", "3"] in workflows("show", halted, "--history", "1").cells
    assert workflows("graph", "--execution", halted).cells[0][2] == "done"


def test_with_halt_it_ends_where_somebody_is_asked(halted):
    told = workflows("watch", halted, "--halt")

    assert (told.code, told.cells[-1][3]) == (3, "halted")


def test_it_gives_up_after_a_time(halted):
    assert workflows("watch", halted, "--timeout", "0").code == 124
    assert workflows("watch", halted, "--timeout", "0.05", "--interval", "10").code == 124


def test_as_json_there_is_an_object_a_line(halted, meanwhile):
    meanwhile(lambda: resume(halted, response=7))

    told = workflows("watch", halted, "--json")

    steps = [one["entry"]["action"] for one in told.objects if "entry" in one]
    assert steps == ["halted", "resumed", "completed", "completed"]
    first, last = (one["execution"] for one in told.objects if "execution" in one)
    assert [wait["step"] for wait in first["waits"]] == ["ask"]
    assert (last["status"], last["result"], last["waits"]) == ("completed", 7, [])


def test_on_a_terminal_there_is_a_bar_and_a_reason(halted, meanwhile):
    meanwhile(lambda: resume(halted, response=7, by="ann"))

    out = seen("watch", halted).out

    assert "asking" in out
    assert "━" in out
    assert "halted at ask since" in out
    assert "ask resumed by ann" in out
    assert "✓ completed" in out


def test_an_attempt_is_told(failing):
    failed = run(failing).execution_id
    workflows("retry", failed)

    assert "work failed" in seen("watch", failed).out


def test_what_is_not_there():
    assert refused("watch", "nono") == (5, "No execution 'nono' in this store.")


def test_a_right_that_is_taken_away_ends_it(halted, person, meanwhile):
    ann = person("ann", "view")
    meanwhile(lambda: None, ann.user_permissions.clear)

    assert refused("watch", halted, "--as", "ann")[0] == 5


def test_an_execution_that_is_deleted_ends_it(halted, meanwhile):
    meanwhile(lambda: WorkflowExecution.objects.all().delete())

    assert refused("watch", halted)[0] == 5


def test_ctrl_c_ends_the_watching_not_the_execution(halted, meanwhile):
    def interrupt():
        raise KeyboardInterrupt

    meanwhile(interrupt)

    assert workflows("watch", halted).code == 130
    assert get(halted).status == "halted"


# In a process of its own ------------------------------------------------------------------------


@pytest.fixture
def returned():
    """An execution of a workflow that other processes know as well, halted at "accept"."""
    return start("return_of_goods", {"order_id": 7, "reason": "too loud"}).id


@pytest.fixture
def watched(returned):
    """A process that watches it, and has told of its halt."""
    # Tests that a shell runs in the background ignore Ctrl-C, and so would what they start. Only a
    # handler is not handed on.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            command("watch", returned, "--interval", "0.1"),
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "waiting at accept for an approval" in line:
            break
    yield process, lines
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_a_pipe_sees_what_happens_while_it_happens(returned, watched):
    process, lines = watched
    assert process.poll() is None

    cancel(returned, "no longer wanted")
    rest, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "accept\tcancelled" in rest
    assert rest.splitlines()[-1].startswith(f"{returned}\treturn_of_goods\t1\tcancelled")
    assert ["accept", "halted"] in [line.split("\t")[1:3] for line in lines]
    assert errors == ""


def test_ctrl_c_leaves_no_traceback(watched):
    process, _ = watched

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "Traceback" not in errors


def test_who_closes_the_pipe_ends_it(returned, watched):
    process, _ = watched
    process.stdout.close()

    cancel(returned)
    process.wait(timeout=60)

    assert process.returncode == 141
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    process.communicate = lambda: None
