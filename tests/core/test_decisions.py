from dataclasses import replace

import pytest

from django_workflows.core.decisions import choose_wait, fire, give, open_waits, settle, wake
from django_workflows.core.execution import EntryAction, Execution, ExecutionStatus
from django_workflows.core.waits import Answer, Cause, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, NotAllowed, NotResumable
from tests.stores.contract.records import at

HALTED = Execution(
    workflow_id="orders",
    status=ExecutionStatus.HALTED,
    recover_to="review",
    halt_data={"a": 1},
    claims=3,
)


def wait(step="review", **values):
    return Wait(**{"execution_id": HALTED.id, "step": step} | values)


def approval(**values):
    return wait(kind=WaitKind.APPROVAL, **values)


def yes(by="alice"):
    return Answer(approved=True, by=by, at=at(0))


# Which wait -------------------------------------------------------------------------------------


def test_single_open_wait_needs_no_name():
    done = wait("a", status=WaitStatus.TAKEN)
    asked = wait("b")

    assert choose_wait(HALTED, [done, asked], None) is asked
    assert open_waits([done, asked]) == [asked]


@pytest.mark.parametrize("name", ["step", "id"])
def test_wait_is_named_by_step_or_id(name):
    waits = [wait("a"), wait("b")]

    assert choose_wait(HALTED, waits, getattr(waits[1], name)) is waits[1]


def test_several_open_waits_must_be_told_apart():
    with pytest.raises(NotResumable, match="name one with step=: a, b") as caught:
        choose_wait(HALTED, [wait("a"), wait("b")], None)

    assert caught.value.open_steps == ["a", "b"]
    assert caught.value.execution_id == HALTED.id


@pytest.mark.parametrize("status", [WaitStatus.SETTLED, WaitStatus.TAKEN])
def test_answered_wait_says_by_whom_and_when(status):
    with pytest.raises(AlreadyResumed, match="answered by alice at 2026-01-31") as caught:
        choose_wait(HALTED, [wait(status=status, answers=(yes(),))], None)

    assert (caught.value.by, caught.value.at, caught.value.step) == ("alice", at(0), "review")


def test_wait_answered_by_nobody_named():
    answers = (Answer(at=at(0)),)

    with pytest.raises(AlreadyResumed, match="answered by nobody named"):
        choose_wait(HALTED, [wait(status=WaitStatus.SETTLED, answers=answers)], None)


@pytest.mark.parametrize(
    ("waits", "step", "message"),
    [
        ([], None, "it is halted and nothing waits"),
        ([], "review", "nothing waits at step 'review'"),
        ([wait("a")], "b", "nothing waits at step 'b'"),
        ([wait(status=WaitStatus.WITHDRAWN, answers=(yes(),))], None, "nothing waits"),
    ],
)
def test_nothing_to_answer(waits, step, message):
    with pytest.raises(NotResumable, match=message) as caught:
        choose_wait(HALTED, waits, step)

    assert not isinstance(caught.value, AlreadyResumed)


# The decision -----------------------------------------------------------------------------------


def test_answer_settles_the_wait_and_wakes_the_execution():
    asked = wait()

    change = settle("review", Answer(response=7, by="alice", at=at(0)))(HALTED, [asked])

    (answered,) = change.waits
    (entry,) = change.entries
    assert (answered.id, answered.status) == (asked.id, WaitStatus.SETTLED)
    assert (answered.settled_at, answered.answer.response) == (at(0), 7)
    assert (entry.action, entry.step_id, entry.by) == (EntryAction.RESUMED, "review", "alice")
    assert entry.output == {"approved": None, "response": 7}
    assert change.execution == replace(
        HALTED, status=ExecutionStatus.PENDING, recover_to=None, halt_data=None, claims=0
    )


@pytest.mark.parametrize(
    "status", [status for status in ExecutionStatus if status != ExecutionStatus.HALTED]
)
def test_only_what_is_halted_is_woken(status):
    execution = replace(HALTED, status=status)

    assert wake(execution) is execution


def test_one_of_two_approvals_leaves_the_execution_halted():
    change = settle(None, yes())(HALTED, [approval(required=2)])

    assert change.execution is HALTED
    assert [given.by for given in change.waits[0].answers] == ["alice"]
    assert change.waits[0].status == WaitStatus.OPEN
    assert len(change.entries) == 1


def test_second_of_two_approvals_settles():
    asked = approval(required=2, answers=(yes("bob"),))

    assert give(asked, yes()).status == WaitStatus.SETTLED


def test_one_rejection_settles():
    asked = approval(required=3, answers=(yes("bob"),))

    assert give(asked, Answer(approved=False)).status == WaitStatus.SETTLED


def test_timeout_settles_whatever_was_required():
    asked = approval(required=3, answers=(yes("bob"),))

    change = settle(None, Answer(cause=Cause.TIMEOUT))(HALTED, [asked])

    assert change.waits[0].answer.cause == Cause.TIMEOUT


def test_permit_is_asked_first_and_may_refuse():
    asked = []

    def permit(execution, wait):
        asked.append((execution, wait.step))
        raise NotAllowed("only managers")

    with pytest.raises(NotAllowed, match="only managers"):
        settle(None, Answer(), permit)(HALTED, [approval()])

    assert asked == [(HALTED, "review")]


def test_permit_may_allow():
    change = settle(None, yes(), lambda execution, wait: None)(HALTED, [approval()])

    assert change.waits[0].status == WaitStatus.SETTLED


@pytest.mark.parametrize("approved", [None, "yes", 1])
def test_approval_is_answered_by_yes_or_no(approved):
    with pytest.raises(NotResumable, match="answer approved=True or False"):
        settle(None, Answer(approved=approved))(HALTED, [approval()])


def test_nobody_approves_twice():
    asked = approval(required=2, answers=(yes(),))

    with pytest.raises(AlreadyResumed) as caught:
        settle(None, yes())(HALTED, [asked])

    assert (caught.value.by, caught.value.at) == ("alice", at(0))


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (WaitKind.TIMER, Cause.TIMER),
        (WaitKind.RETRY, Cause.RETRY),
        (WaitKind.APPROVAL, Cause.TIMEOUT),
        (WaitKind.EVENT, Cause.TIMEOUT),
    ],
)
def test_wait_whose_time_has_come_is_settled_by_its_kind(kind, cause):
    asked = wait(kind=kind)

    change = fire(asked.id)(HALTED, [asked, wait("other")])

    assert [answered.id for answered in change.waits] == [asked.id]
    assert change.waits[0].answer.cause == cause


def test_wait_that_was_answered_meanwhile_does_not_fire():
    asked = wait(status=WaitStatus.SETTLED, answers=(yes(),))

    with pytest.raises(AlreadyResumed):
        fire(asked.id)(HALTED, [asked])
