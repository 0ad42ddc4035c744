from dataclasses import replace

import pytest

from django_workflows.core.decisions import (
    choose_wait,
    give,
    open_waits,
    settle,
    take,
    wake,
)
from django_workflows.core.execution import EntryAction, Execution, ExecutionStatus
from django_workflows.core.waits import Answer, Cause, InboxEvent, Wait, WaitKind, WaitStatus
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


UNASKED = [WaitKind.TIMER, WaitKind.EVENT, WaitKind.RETRY]
BEGUN = replace(HALTED, started_at=at(0))


@pytest.mark.parametrize("kind", UNASKED)
def test_late_answer_ends_no_wait_that_asks_nobody(kind):
    answered = wait("review", status=WaitStatus.TAKEN, answers=(yes("bob"),))

    with pytest.raises(AlreadyResumed, match="'review' was answered by bob"):
        choose_wait(BEGUN, [answered, wait("next", kind=kind)], None)


@pytest.mark.parametrize("kind", UNASKED)
def test_wait_that_asks_nobody_is_answered_by_name_only(kind):
    slept = wait("nap", status=WaitStatus.TAKEN, answers=(Answer(cause=Cause.TIMER),))
    open_ = wait("next", kind=kind)

    with pytest.raises(NotResumable, match=f"asks nobody .{kind} at 'next'.") as caught:
        choose_wait(BEGUN, [slept, open_], None)

    assert caught.value.open_steps == ["next"]
    assert not isinstance(caught.value, AlreadyResumed)
    assert choose_wait(BEGUN, [slept, open_], "next") is open_


def test_what_asks_somebody_needs_no_name_beside_what_does_not():
    asked = wait("ask")

    assert choose_wait(BEGUN, [asked, wait("nap", kind=WaitKind.TIMER)], None) is asked


def test_what_has_yet_to_begin_needs_no_name():
    delayed = wait("", kind=WaitKind.TIMER)

    assert choose_wait(HALTED, [delayed], None) is delayed


def test_decision_is_no_answer_to_a_question():
    with pytest.raises(NotResumable, match="'ask' is no approval: answer it with response="):
        settle(None, yes())(BEGUN, [wait("ask")])


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
        HALTED,
        status=ExecutionStatus.PENDING,
        recover_to=None,
        halt_data=None,
        claims=0,
        updated_at=change.execution.updated_at,
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


def test_answer_of_a_running_execution_leaves_it_running():
    execution = replace(HALTED, status=ExecutionStatus.RUNNING)

    change = settle(None, Answer())(execution, [wait()])

    assert change.execution is execution
    assert (change.chores, change.event) == ((), None)


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause != Cause.PERSON])
def test_only_a_person_has_to_say_yes_or_no(cause):
    asked = approval(answers=(Answer(at=at(0)),))

    change = settle(None, Answer(cause=cause))(HALTED, [asked])

    assert change.waits[0].status == WaitStatus.SETTLED


# An event ---------------------------------------------------------------------------------------


def test_event_is_taken_with_the_answer_that_it_is():
    asked = wait(kind=WaitKind.EVENT, key="paid:7")
    event = InboxEvent(name="paid", key="7", data={"amount": 3}, by="shop")

    change = take(asked.id, event)(HALTED, [wait("other"), asked])

    (answered,) = change.waits
    assert change.event == replace(event, taken_by=asked.id)
    assert (answered.id, answered.status) == (asked.id, WaitStatus.SETTLED)
    assert answered.answer.cause == Cause.EVENT
    assert (answered.answer.response, answered.answer.by) == ({"amount": 3}, "shop")
    assert change.execution.status == ExecutionStatus.PENDING
    assert [entry.action for entry in change.entries] == [EntryAction.RESUMED]


@pytest.mark.parametrize(
    ("waits", "error"),
    [
        ([wait(id="w", status=WaitStatus.SETTLED, answers=(yes(),))], AlreadyResumed),
        ([wait(id="w", status=WaitStatus.WITHDRAWN)], NotResumable),
        ([], NotResumable),
    ],
    ids=["answered", "withdrawn", "unknown"],
)
def test_event_is_not_taken_by_a_wait_that_is_closed(waits, error):
    with pytest.raises(error):
        take("w", InboxEvent(name="paid"))(HALTED, [*waits, wait("other")])
