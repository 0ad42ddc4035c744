"""skip: a step is taken as done."""

from datetime import timedelta

import pytest

from django_workflows import api, halt, registry, resume, retry, run, skip, start, wiring
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import InvalidTransition, PayloadError, ResponseError
from django_workflows.steps import (
    Approval,
    Call,
    End,
    Halt,
    Parallel,
    Sleep,
    SubWorkflow,
)
from django_workflows.supervisor import sweep

pytestmark = pytest.mark.django_db(transaction=True)


def test_failed_step_is_skipped_with_an_output(faulty):
    failed = run(faulty)

    skipped = skip(failed.execution_id, output={"by": "hand"}, reason="done on paper", by="alice")

    done = api.get(skipped.id)
    assert (done.status, done.result) == (ExecutionStatus.COMPLETED, {"by": "hand"})
    entry = next(
        entry for entry in wiring.store().entries(done.id) if entry.action == EntryAction.SKIPPED
    )
    assert (entry.step_id, entry.by) == ("work", "alice")
    assert entry.output == {"output": {"by": "hand"}, "reason": "done on paper"}


def test_halted_step_is_skipped_and_its_wait_withdrawn(reviewed):
    halted = run(reviewed)

    skip(halted.execution_id)

    assert api.get(halted.execution_id).status == ExecutionStatus.COMPLETED
    statuses = [wait.status for wait in wiring.store().waits(halted.execution_id)]
    assert statuses == [WaitStatus.WITHDRAWN]


def test_step_without_an_output_is_skipped(registered):
    halted = run(registered("sleepy", nap=Sleep(3600), after=Call(lambda: "awake")))

    skip(halted.execution_id, output="ignored")

    done = api.get(halted.execution_id)
    assert (done.result, done.ctx) == ("awake", {"after": "awake"})


def test_skip_of_a_child_cancels_it(registered):
    registered("child", ask=Halt("Which?"))
    halted = run(registered("parent", kid=SubWorkflow("child")))

    skip(halted.execution_id, output="instead")

    assert api.get(halted.execution_id).result == "instead"
    child = api.get(halted.waits[0].key)
    assert child.error == "Cancelled: step 'kid' of its parent was skipped"


def test_what_has_ended_well_cannot_be_skipped(registered):
    done = run(registered("quick", work=Call(lambda: 1)))

    with pytest.raises(InvalidTransition, match=r"completed; skip needs .* failed or halted"):
        skip(done.execution_id)


def test_what_has_not_begun_cannot_be_skipped(faulty):
    delayed = start(faulty, delay=60)

    with pytest.raises(InvalidTransition, match="is not begun; skip needs one that is at a step"):
        skip(delayed.id)


def test_step_that_a_new_version_dropped_cannot_be_skipped(registered, reviewed):
    halted = run(reviewed)
    registry.remove("reviewed")
    registered("reviewed", before=Call(lambda: 1))

    with pytest.raises(PayloadError, match="has no step 'review'; it has before"):
        skip(halted.execution_id)


@pytest.fixture
def undone(registered, fault):
    """A failed execution whose only completed step was undone; mended, it halts."""
    workflow = registered(
        "saga",
        book=Call(lambda: 1, compensate="unbook"),
        work=Call(fault),
        ask=Halt("Well?"),
        end=End(result="fine"),
        unbook=Call(lambda: 2),
    )
    failed = run(workflow)
    fault.broken = False
    return failed.execution_id


def test_what_was_undone_cannot_be_skipped(undone):
    with pytest.raises(InvalidTransition, match="undone by its compensations; skip needs"):
        skip(undone)


def test_what_was_undone_and_begun_again_may_be_skipped(undone):
    retry(undone, from_step="book")

    skip(undone)

    assert api.get(undone).result == "fine"


# Steps that say what an answer has to be ---------------------------------------------------------

AMOUNT = {"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}


def test_skipped_halt_takes_no_output_that_it_would_not_take_for_an_answer(registered):
    halted = run(registered("priced", price=Halt("How much?", response_schema=AMOUNT)))

    for output in (None, {"amount": "much"}):
        with pytest.raises(ResponseError):
            skip(halted.execution_id, output=output)
    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED
    skip(halted.execution_id, output={"amount": 3})

    assert api.get(halted.execution_id).result == {"amount": 3}


@pytest.mark.parametrize(
    "output", [{"approved": True}, {"response": {}}, {"approved": True, "response": "much"}]
)
def test_skipped_approval_takes_no_wrong_response(registered, output):
    halted = run(registered("asked", ask=Approval("Really?", response_schema=AMOUNT)))

    with pytest.raises(ResponseError, match="'ask'"):
        skip(halted.execution_id, output=output)


@pytest.mark.parametrize(
    "output",
    [
        None,  # no decision
        {"by": "hand"},
        {"approved": True, "response": {"amount": 3}},
        {"approved": False, "response": "too much"},  # a rejection
    ],
)
def test_skipped_approval_takes_what_is_no_wrong_response(registered, output):
    halted = run(registered("asked", ask=Approval("Really?", response_schema=AMOUNT)))

    skip(halted.execution_id, output=output)

    assert api.get(halted.execution_id).result == output


def test_skip_is_checked_after_a_rejection_and_a_deadline_too(registered, travel):
    step = Approval("Really?", response_schema=AMOUNT)
    rejected = run(registered("asked", ask=step)).execution_id
    resume(rejected, approved=False, wait=True)
    late = Halt("?", response_schema=AMOUNT)
    overdue = run(registered("late", timeout=timedelta(seconds=60), ask=late)).execution_id
    travel(61)
    sweep()
    statuses = [api.get(each).status for each in (rejected, overdue)]
    assert statuses == [ExecutionStatus.FAILED, ExecutionStatus.FAILED]

    for execution_id in (rejected, overdue):
        with pytest.raises(ResponseError):
            skip(execution_id, output={"approved": True, "amount": "much"})
    skip(overdue, output={"amount": 3})

    assert api.get(overdue).result == {"amount": 3}


def test_step_that_fails_after_an_answered_round_is_skipped_with_any_output(registered):
    rounds = []

    def ask():
        rounds.append("ask")
        if len(rounds) > 1:
            raise ValueError("broken")
        return halt("?", response_schema=AMOUNT)

    halted = run(registered("rounds", ask=Call(ask), again=Call(ask, on_error="ask")))
    failed = resume(halted.execution_id, response={"amount": 1}, wait=True)
    assert (failed.status, rounds) == (ExecutionStatus.FAILED, ["ask"] * 3)

    skip(failed.execution_id, output="enough")

    assert api.get(failed.execution_id).ctx["ask"] == "enough"


def test_skipped_parallel_takes_any_output_whatever_is_asked_inside(registered):
    asked = Parallel(a=Halt("?", response_schema=AMOUNT), b=Halt("?", response_schema=AMOUNT))
    halted = run(registered("both", both=asked))

    skip(halted.execution_id, output="neither")

    assert api.get(halted.execution_id).result == "neither"
