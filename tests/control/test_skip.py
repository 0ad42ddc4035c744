"""skip: a step is taken as done."""

import pytest

from django_workflows import api, registry, retry, run, skip, start, wiring
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import InvalidTransition, PayloadError
from django_workflows.steps import (
    Call,
    End,
    Halt,
    Sleep,
    SubWorkflow,
)

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
