"""resume: an answer finds its wait, once."""

import re

import pytest

from django_workflows import api, resume, run
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import AlreadyResumed, ExecutionNotFound, NotResumable
from django_workflows.steps import Approval, Assign, Call, Halt, Parallel

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def counted(registered):
    return registered("counted", work=Call(lambda: 1))


@pytest.fixture
def reviewed(registered):
    return registered("reviewed", review=Approval("Really?"), after=Assign(done=True))


@pytest.fixture
def two_reviews(registered):
    return registered("two_reviews", both=Parallel(a=Approval("A?", name="ask"), b=Halt("B?")))


def test_answer_is_recorded_and_then_driven_on(reviewed):
    halted = run(reviewed)

    answered = resume(halted.execution_id, approved=True, by="alice")

    assert answered.id == halted.execution_id
    assert answered.status == ExecutionStatus.PENDING
    done = api.get(answered.id)
    assert done.status == ExecutionStatus.COMPLETED
    assert done.ctx["review"]["by"] == "alice"


def test_resume_that_waits_returns_the_result(reviewed):
    halted = run(reviewed)

    result = resume(halted.execution_id, approved=True, wait=True)

    assert result.status == ExecutionStatus.COMPLETED
    assert result.output["approved"] is True


def test_resume_returns_the_result_of_one_that_waits_still(registered):
    workflow = registered("several", review=Approval("Two?", required=2))
    halted = run(workflow)

    result = resume(halted.execution_id, approved=True, by="alice", wait=True)

    assert result.status == ExecutionStatus.HALTED
    assert resume(halted.execution_id, approved=True, by="bob", wait=True).status == "completed"


def test_response_is_the_output_of_a_halt(registered):
    halted = run(registered("asked", ask=Halt("Which?")))

    result = resume(halted.execution_id, response={"size": 7}, wait=True)

    assert result.output == {"size": 7}


def test_several_open_waits_are_listed(two_reviews):
    halted = run(two_reviews)

    with pytest.raises(NotResumable, match=re.escape("both/a/ask, both/b/halt_1")) as caught:
        resume(halted.execution_id, approved=True)

    assert caught.value.open_steps == ["both/a/ask", "both/b/halt_1"]


def test_one_of_several_waits_is_named_by_path_or_by_id(two_reviews):
    halted = run(two_reviews)
    by_path = {wait.step: wait for wait in halted.waits}

    resume(halted.execution_id, approved=True, step="both/a/ask")
    result = resume(halted.execution_id, response=7, step=by_path["both/b/halt_1"].id, wait=True)

    assert result.output["b"] == 7


def test_second_answer_is_told_who_was_first_and_when(reviewed):
    halted = run(reviewed)
    resume(halted.execution_id, approved=True, by="alice")

    with pytest.raises(AlreadyResumed, match="'review' was answered by alice at 20") as caught:
        resume(halted.execution_id, approved=False, by="bob")

    settled = api.wiring.store().waits(halted.execution_id)[0]
    assert (caught.value.by, caught.value.at) == ("alice", settled.answer.at)


@pytest.mark.parametrize("step", [None, "review", "nowhere"])
def test_what_is_not_halted_cannot_be_resumed(counted, step):
    done = run(counted)

    with pytest.raises(NotResumable, match="it is completed and nothing waits"):
        resume(done.execution_id, step=step)


def test_an_unknown_execution_cannot_be_resumed():
    with pytest.raises(ExecutionNotFound, match="nobody"):
        resume("nobody", approved=True)


def test_approval_needs_a_decision(reviewed):
    halted = run(reviewed)

    with pytest.raises(NotResumable, match="answer approved=True or False"):
        resume(halted.execution_id, response="fine by me")

    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED
