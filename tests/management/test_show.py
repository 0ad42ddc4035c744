"""``workflows show``."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import resume, retry, run, start
from django_workflows.steps import Approval, Call, Loop
from tests.factories import WorkflowEntryFactory
from tests.management.conftest import refused, seen, workflows

pytestmark = pytest.mark.django_db(transaction=True)


def facts(*line):
    return {cells[0]: cells[1] for cells in workflows("show", *line).cells}


def test_facts_waits_and_history_are_lines_that_say_what_they_are(order):
    halted = run(order, {"order_id": 7}).execution_id

    found = workflows("show", halted)
    named = {cells[0]: cells[1:] for cells in found.cells}

    assert named["id"] == [halted]
    assert named["status"] == ["halted"]
    assert named["why"][0].startswith("waiting at review for an approval by anybody since")
    assert named["input"] == ['{"order_id": 7}']
    assert named["wait"][:2] == ["review", "approval"]
    assert named["wait"][-1] == "Ship it?"
    assert named["entry"][1:3] == ["review", "halted"]


def test_on_a_terminal_it_has_parts(order):
    halted = run(order).execution_id
    resume(halted, approved=True, wait=True)

    out = seen("show", halted).out

    assert "History" in out
    assert "✗ failed" in out
    assert "ValueError: the card is expired" in out
    assert "Waits for" not in out
    assert "Traceback" not in out


def test_in_full_it_has_the_traceback_and_all_of_the_data(failing):
    failed = run(failing, {"text": "x" * 500}).execution_id

    out = seen("show", failed, "--full").out

    assert "Traceback at work" in out
    assert "raise ValueError" in out
    assert "x" * 500 in facts(failed, "--full")["input"]
    assert facts(failed)["input"].endswith("…")


def test_of_a_long_history_the_last_is_shown(registered):
    flow = registered("long", each=Loop(over=[*range(30)], do=[Call(lambda: 1, name="one")]))
    done = run(flow).execution_id

    entries = [cells for cells in workflows("show", done).cells if cells[0] == "entry"]

    assert len(entries) == 20
    assert entries[-1][2] == "each"
    assert ["earlier", "11"] in workflows("show", done).cells
    assert "… and 26 before; --all shows them" in seen("show", done, "--history", "5").out
    assert "before" not in seen("show", done, "--all").out
    for line in ("--full", "--all"):
        told = workflows("show", done, line).cells
        assert len([cells for cells in told if cells[0] == "entry"]) == 31
        assert "earlier" not in [cells[0] for cells in told]


def test_a_history_is_read_from_its_end(failing):
    failed = run(failing).execution_id
    WorkflowEntryFactory.create_batch(1_300, execution_id=failed, execution=None)

    with CaptureQueriesContext(connection) as queries:
        found = workflows("show", failed, "--json").data

    reads = [query["sql"] for query in queries if "workflowentry" in query["sql"]]
    assert [sql for sql in reads if "LIMIT 200" in sql]
    assert all("LIMIT" in sql or "COUNT(" in sql or "MAX(" in sql for sql in reads)
    assert (len(found["entries"]), found["earlier_entries"]) == (200, 1_101)
    assert "… and 1,281 before; --all shows them" in seen("show", failed).out
    everything = workflows("show", failed, "--json", "--all").data
    assert (len(everything["entries"]), everything["earlier_entries"]) == (1_301, 0)
    assert len(workflows("show", failed, "--json", "--history", "3").data["entries"]) == 3


def test_as_json_there_is_all_of_it(order):
    halted = run(order, {"order_id": 7}).execution_id

    found = workflows("show", halted, "--json").data

    assert (found["id"], found["input"], found["status"]) == (halted, {"order_id": 7}, "halted")
    assert found["why"].startswith("waiting at review")
    assert [entry["step_id"] for entry in found["entries"]] == ["take", "review"]
    assert [wait["step"] for wait in found["waits"]] == ["review"]


def test_what_has_not_begun_has_no_history(doing, settings):
    settings.WORKFLOWS = {
        "ADAPTER": {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}
    }
    pending = start(doing).id

    assert "entry" not in [cells[0] for cells in workflows("show", pending).cells]
    assert "History" not in seen("show", pending).out


def test_what_a_person_had_driven_again_is_no_failure(failing):
    failed = run(failing).execution_id
    retry(failed, by="ann")

    [by_hand] = [cells for cells in workflows("show", failed).cells if cells[3:4] == ["retried"]]

    assert by_hand[6:] == ["ann", ""]
    assert "retried" in seen("show", failed).out


def test_what_is_not_there():
    assert refused("show", "nono") == (5, "No execution 'nono' in this store.")


def test_what_a_user_may_not_see_is_not_there(order, person, registered):
    halted = run(order).execution_id
    person("nobody")
    person("viewer", "view")
    person("ann")
    asked = run(registered("asked", review=Approval("?", approvers=["user:ann"]))).execution_id

    assert refused("show", halted, "--as", "nobody") == (
        5,
        f"No execution {halted!r} in this store.",
    )
    assert refused("show", halted, "--as", "ann")[0] == 5
    assert facts(halted, "--as", "viewer")["id"] == halted
    assert facts(asked, "--as", "ann")["id"] == asked  # who is to decide may look


def test_nothing_in_data_is_an_order_to_the_terminal(registered):
    def shout():
        raise ValueError("\x1b[2J\x07[red]\u202e\x9b31m")

    failed = run(registered("loud", work=Call(shout))).execution_id

    for told in (workflows("show", failed), seen("show", failed, "--full")):
        assert "\x1b[2J" not in told.out
        assert not {"\x07", "\u202e", "\x9b"} & set(told.out)
        assert "\\x1b[2J\\x07[red]\\u202e\\x9b31m" in told.out.replace("\n", "")
