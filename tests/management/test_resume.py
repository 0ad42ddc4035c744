"""``workflows resume`` and ``workflows send``."""

from datetime import timedelta

import pytest

from django_workflows import get, run, start, wiring
from django_workflows.models import WorkflowEvent
from django_workflows.steps import (
    Approval,
    Call,
    End,
    Halt,
    Parallel,
    Sleep,
    SubWorkflow,
    WaitForEvent,
)
from tests.management.conftest import refused, seen, workflows

pytestmark = pytest.mark.django_db(transaction=True)

DATABASE = {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}


@pytest.fixture
def asked(registered):
    """An execution that waits for ann."""
    flow = registered("asked", review=Approval("?", approvers=["user:ann"]), done=End())
    return run(flow).execution_id


@pytest.fixture
def halted(asking):
    return run(asking).execution_id


def test_a_decision_is_recorded_and_driven(order):
    halted = run(order).execution_id

    told = workflows("resume", halted, "--approve", "--comment", "fine")

    assert (told.code, told.cells[0][3]) == (0, "failed")
    assert get(halted).ctx["review"]["response"] == "fine"
    assert get(halted).ctx["review"]["approved"] is True


def test_it_is_left_to_workers_where_there_are(asking, settings):
    halted = run(asking).execution_id
    settings.WORKFLOWS = {**settings.WORKFLOWS, "ADAPTER": DATABASE}

    assert workflows("resume", halted, "--response", "7").cells[0][3] == "pending"


def test_with_wait_it_is_driven_here(asking, settings):
    halted = run(asking).execution_id
    settings.WORKFLOWS = {**settings.WORKFLOWS, "ADAPTER": DATABASE}

    told = workflows("resume", halted, "--response", '{"n": 7}', "--wait")

    assert told.code == 0
    assert [cells[1] for cells in told.cells[:-1]] == ["step.completed ask", "step.completed done"]
    assert told.cells[-1][3] == "completed"
    assert get(halted).result == {"n": 7}


def test_response_that_is_not_what_the_step_asks_for(registered):
    asked = run(registered("asks", ask=Halt("?", response_schema={"type": "integer"})))

    code, said = refused("resume", asked.execution_id, "--response", '"7"')

    assert code == 2
    assert "'7' is not of type 'integer'" in said
    assert workflows("resume", asked.execution_id, "--response", "7").code == 0


def test_with_wait_the_code_tells_the_end(order):
    halted = run(order).execution_id

    assert workflows("resume", halted, "--approve", "--wait", "--json").code == 1


def test_with_wait_as_json(halted):
    told = workflows("resume", halted, "--response", "7", "--wait", "--json")

    assert (told.code, told.data["result"]) == (0, 7)


def test_as_json(halted):
    assert workflows("resume", halted, "--response", "7", "--json").data["id"] == halted


def test_on_a_terminal(halted):
    assert "✓ completed" in seen("resume", halted, "--response", "7").out


def test_a_rejection_without_on_reject_fails_it(asked, person):
    person("ann")

    workflows("resume", asked, "--reject", "--as", "ann")

    assert get(asked).error.startswith("Rejected: ")


def test_approvers_are_asked_who_they_are(asked, person):
    code, said = refused("resume", asked, "--approve")

    assert code == 4
    assert said == (
        "Step 'review' asks user:ann: say who decides with by=. On the command line that is"
        " --as USER."
    )


def test_approvers_need_no_permission(asked, person):
    person("ann")

    assert workflows("resume", asked, "--approve", "--as", "ann").code == 0
    assert get(asked).ctx["review"]["by"] == "ann"


def test_who_is_no_approver_may_not_decide(asked, person):
    person("eve", "view")
    person("boss", "view", "decide")

    assert refused("resume", asked, "--approve", "--as", "eve")[0] == 4
    code, said = refused("resume", asked, "--approve", "--as", "boss")
    assert (code, said) == (4, "boss may not decide 'review', which asks user:ann.")


def test_to_resume_takes_its_own_permission(halted, person):
    person("decider", "view", "decide")
    person("resumer", "view", "resume")

    assert refused("resume", halted, "--response", "1", "--as", "decider")[0] == 4
    assert workflows("resume", halted, "--response", "1", "--as", "resumer").code == 0


def test_an_approval_is_no_halt_to_be_resumed(order, person):
    halted = run(order).execution_id
    person("resumer", "view", "resume")

    code, said = refused("resume", halted, "--comment", "go", "--as", "resumer")

    assert code == 4
    assert "may not decide" in said


def test_of_several_waits_one_is_named(registered):
    both = Parallel(a=[Approval("?", name="first")], b=[Approval("?", name="second")])
    halted = run(registered("both", both=both)).execution_id

    code, said = refused("resume", halted, "--approve")
    assert code == 6
    assert "both/a/first, both/b/second" in said
    workflows("resume", halted, "--approve", "--step", "both/b/second")
    assert workflows("resume", halted, "--approve").cells[0][3] == "completed"


def test_the_second_answer_is_a_conflict(halted):
    workflows("resume", halted, "--response", "1")

    code, said = refused("resume", halted, "--response", "2")

    assert code == 6
    assert "was answered by nobody named at" in said


def test_a_parent_passes_the_answer_on(registered, asking):
    parent = run(registered("outer", child=SubWorkflow("asking"))).execution_id

    assert workflows("resume", parent, "--response", "7").cells[0][3] == "completed"


def test_a_sleep_is_ended_by_name(registered):
    asleep = run(registered("asleep", nap=Sleep(timedelta(days=1)), done=End())).execution_id

    assert refused("resume", asleep)[0] == 6
    assert workflows("resume", asleep, "--step", "nap").cells[0][3] == "completed"


@pytest.mark.parametrize("line", [["--approve", "--reject"], ["--response", "1", "--comment", "x"]])
def test_options_that_contradict_each_other(halted, line):
    assert "not allowed with" in refused("resume", halted, *line)[1]


def test_what_is_not_there():
    assert refused("resume", "nono", "--approve")[0] == 5


# send -------------------------------------------------------------------------------------------


@pytest.fixture
def waiting(registered):
    flow = registered("waiting", paid=WaitForEvent("paid", key="7"), done=End())
    return run(flow).execution_id


def test_an_event_comes_to_who_waits_for_it(waiting):
    told = workflows("send", "paid", "7", "--data", '{"amount": 5}')

    assert told.out == "Sent paid:7.\n"
    assert get(waiting).result == {"amount": 5}


def test_an_event_without_key_and_data_is_kept(person):
    person("ann", "resume")

    told = workflows("send", "closed", "--as", "ann", "--json")

    assert (told.data["name"], told.data["key"], told.data["by"]) == ("closed", "", "ann")
    assert WorkflowEvent.objects.get().name == "closed"


def test_to_send_takes_the_permission_to_resume(person):
    person("viewer", "view")

    code, _ = refused("send", "paid", "7", "--as", "viewer")

    assert code == 4
    assert not WorkflowEvent.objects.exists()


def test_an_event_has_a_name():
    assert refused("send", "a:b")[0] == 2
    assert refused("send", "")[0] == 1


def test_of_what_was_sent_nothing_is_lost(registered):
    workflows("send", "paid", "7", "--data", "1")
    flow = registered("late", paid=WaitForEvent("paid", key="7"), work=Call(lambda: 2), done=End())

    late = start(flow)

    assert wiring.store().load(late.id).ctx["paid"] == 1
