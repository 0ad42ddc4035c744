"""``workflows cancel``, ``retry``, ``skip`` and ``fork``."""

from io import StringIO

import pytest

from django_workflows import get, run, wiring
from django_workflows.core.execution import EntryAction
from django_workflows.exceptions import StoreUnavailable
from django_workflows.steps import Call, End, Halt
from tests.management.conftest import refused, seen, workflows

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def halted(asking):
    return run(asking).execution_id


@pytest.fixture
def failed(failing):
    return run(failing).execution_id


@pytest.fixture
def mended(registered):
    """Three executions that failed for a reason which is gone."""
    broken = [True]

    def work():
        if broken[0]:
            raise ValueError("closed")
        return 1

    flow = registered("mended", before=Call(lambda: 1), work=Call(work), done=End())
    ids = [run(flow).execution_id for _ in range(3)]
    broken[0] = False
    return ids


def last_entry(execution_id, action):
    entries = wiring.store().entries(execution_id)
    return [entry for entry in entries if entry.action == EntryAction(action)][-1]


def test_cancel(halted, person):
    person("ann", "view", "cancel")

    told = workflows("cancel", halted, "--reason", "no longer wanted", "--as", "ann")

    assert (told.code, told.cells[0][3]) == (0, "cancelled")
    assert "no longer wanted" in get(halted).error
    assert last_entry(halted, "cancelled").by == "ann"


def test_cancel_with_compensation(registered):
    undone = []
    flow = registered(
        "paying",
        pay=Call(lambda: 1, compensate="refund"),
        ask=Halt("?"),
        done=End(),
        refund=Call(lambda: undone.append(1)),
    )
    halted = run(flow).execution_id

    told = workflows("cancel", halted, "--compensate")

    assert undone == [1]
    assert told.cells[0][3] == "cancelled"


def test_retry(mended):
    told = workflows("retry", mended[0], "--reason", "it is open again")

    assert (told.code, told.cells[0][3]) == (0, "completed")


def test_retry_from_a_step_with_other_input(mended):
    workflows("retry", mended[0], "--from", "before", "--input", '{"a": 1}')

    assert get(mended[0]).input == {"a": 1}


def test_skip_with_an_output(failed):
    told = workflows("skip", failed, "--output", '{"n": 7}', "--reason", "done by hand")

    assert told.cells[0][3] == "completed"
    assert get(failed).result == {"n": 7}


def test_fork(mended):
    told = workflows("fork", mended[0], "--from", "work")

    assert told.cells[0][0] != mended[0]
    assert told.cells[0][3] == "completed"
    assert get(mended[0]).status == "failed"


def test_fork_says_from_where(mended):
    assert "--from" in refused("fork", mended[0])[1]


def test_as_json(mended):
    assert workflows("retry", mended[0], "--json").data["status"] == "completed"


# Many -------------------------------------------------------------------------------------------


def test_many_are_told_one_by_one(mended):
    told = workflows("retry", *mended)

    assert told.code == 0
    assert [(cells[0], cells[3]) for cells in told.cells] == [
        (execution_id, "completed") for execution_id in mended
    ]


def test_what_goes_wrong_with_one_keeps_nobody_from_the_others(mended, halted):
    told = workflows("retry", halted, "nono", *mended)

    assert told.code == 6  # that of the first that could not be
    assert [cells[1] for cells in told.cells] == ["error", "error", *["mended"] * 3]
    assert told.cells[0][2].startswith(f"Execution {halted} is halted; retry needs one that is")
    assert told.cells[1] == ["nono", "error", "No execution 'nono' in this store."]


def test_many_as_json_are_an_object_a_line(mended):
    told = workflows("retry", "nono", mended[0], "--json")

    assert told.objects[0] == {
        "id": "nono",
        "error": "No execution 'nono' in this store.",
        "code": 5,
    }
    assert told.objects[1]["status"] == "completed"


def test_many_on_a_terminal_are_summed_up(mended):
    assert "2 of 3 done; 1 could not be." in seen("retry", "nono", *mended[:2]).out
    assert "1 of 1" not in seen("retry", mended[2]).out


def test_what_list_writes_can_be_piped_in(mended, monkeypatch):
    listed = workflows("list", "--status", "failed").out
    monkeypatch.setattr("sys.stdin", StringIO(listed))

    told = workflows("retry", "-")

    assert sorted(cells[0] for cells in told.cells) == sorted(mended)


def test_of_nothing_piped_in_nothing_is_done(monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO(""))

    assert workflows("retry", "-").out == ""


def test_a_store_that_is_gone_ends_it(mended, monkeypatch):
    def gone(*line, **more):
        raise StoreUnavailable("OrmStore", "it went away")

    monkeypatch.setattr("django_workflows.api.retry", gone)

    assert refused("retry", *mended) == (
        1,
        (
            "The store OrmStore does not answer: it went away."
            " It may have written what it was asked to."
        ),
    )


@pytest.mark.parametrize("line", [["retry", "--input"], ["skip", "--output"]])
def test_only_one_thing_can_be_piped_in(line):
    code, said = refused(line[0], "-", line[1], "-")

    assert code == 2
    assert said == f"Only one thing can be piped in: the ids, or {line[1]}."


def test_input_is_an_object(failed):
    assert refused("retry", failed, "--input", "[1]") == (2, "--input must be an object of fields.")


# Rights -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "more"), [("cancel", []), ("retry", []), ("skip", []), ("fork", ["--from", "work"])]
)
def test_each_takes_its_permission(failed, person, verb, more):
    person("nobody")
    person("viewer", "view")

    assert refused(verb, failed, *more, "--as", "nobody")[0] == 5
    code, said = refused(verb, failed, *more, "--as", "viewer")

    assert code == 4
    assert f"viewer may not {verb} execution {failed}" in said
    assert get(failed).status == "failed"


def test_who_may_does(failed, person):
    person("ann", "view", "skip")

    assert workflows("skip", failed, "--as", "ann").code == 0
    assert last_entry(failed, "skipped").by == "ann"
