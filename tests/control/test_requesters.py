"""Whose request an execution is: none of them decides on it, by whatever verb."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Group, User

from django_workflows import api, cancel, fork, resume, retry, run, skip, start, wiring
from django_workflows.core.control import postpone
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.exceptions import AlreadyResumed, InvalidTransition, NotAllowed, NotResumable
from django_workflows.steps import Approval, Call, End, ForEach, Halt, Parallel, SubWorkflow
from django_workflows.supervisor import sweep

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def managed(registered):
    """Only managers decide."""
    boss = User.objects.create_user("boss")
    boss.groups.add(Group.objects.create(name="managers"))
    return registered(
        "managed", before=Call(lambda: 1), ask=Approval("Pay?", approvers=["group:managers"])
    )


# Skip ------------------------------------------------------------------------------------------


def test_an_approval_is_skipped_by_its_approvers_only(managed):
    halted = run(managed, by="alice")

    with pytest.raises(NotAllowed, match="asks group:managers"):
        skip(halted.execution_id, output={"approved": True}, by="mallory")
    with pytest.raises(NotAllowed, match="alice started"):
        skip(halted.execution_id, output={"approved": True}, by="alice")
    with pytest.raises(NotAllowed, match="say who"):
        skip(halted.execution_id, output={"approved": True})

    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED
    assert skip(halted.execution_id, by="boss").status == ExecutionStatus.PENDING


@pytest.mark.parametrize("kids", ["one", "several"])
def test_an_approval_of_a_child_is_not_skipped_with_its_parent(registered, managed, kids):
    step = (
        SubWorkflow("managed") if kids == "one" else ForEach(over=[1, 2], do=SubWorkflow("managed"))
    )
    halted = run(registered("parent", kids=step, last=Call(lambda: "paid")), by="alice")

    with pytest.raises(NotAllowed, match="asks group:managers"):
        skip(halted.execution_id, by="mallory")

    assert api.get(halted.execution_id).status == ExecutionStatus.HALTED
    skip(halted.execution_id, by="boss")
    assert api.get(halted.execution_id).result == "paid"


def test_other_waits_are_skipped_by_anybody(registered):
    halted = run(registered("asking", ask=Halt("Which?"), last=Call(lambda: 1)))

    skip(halted.execution_id)

    assert api.get(halted.execution_id).result == 1


# Retry and fork ----------------------------------------------------------------------------------


@pytest.fixture
def spending(registered):
    """Fails on its first input, then asks."""

    def check(state):
        if state.input["amount"] == 1:
            raise ValueError("too little")

    return registered("spending", check=Call(check), ask=Approval("Pay?"), last=Call(lambda: 1))


def test_who_gave_another_input_does_not_approve_it(spending):
    failed = run(spending, {"amount": 1}, by="al")
    retry(failed.execution_id, input={"amount": 10**6}, by="bo")

    for name in ("al", "bo"):
        with pytest.raises(NotAllowed, match=f"{name} (started|gave the input of)"):
            resume(failed.execution_id, approved=True, by=name)

    resume(failed.execution_id, approved=True, by="cy")
    assert api.get(failed.execution_id).status == ExecutionStatus.COMPLETED


def test_who_only_retries_may_approve(registered):
    broken = [True]

    def check():
        if broken:
            broken.clear()
            raise ValueError("once")

    failed = run(registered("asking", check=Call(check), ask=Approval("Pay?")), by="al")
    retry(failed.execution_id, by="bo")

    resume(failed.execution_id, approved=True, by="bo")

    assert api.get(failed.execution_id).status == ExecutionStatus.COMPLETED


def test_a_fork_is_still_the_request_of_whose_it_was(spending):
    halted = run(spending, {"amount": 2}, by="al")
    second = fork(fork(halted.execution_id, "ask", by="bo").id, "ask", by="cy")

    for name in ("al", "bo", "cy"):
        with pytest.raises(NotAllowed):
            resume(second.id, approved=True, by=name)

    resume(second.id, approved=True, by="di")


def test_a_retry_tells_why_and_keeps_both_inputs(spending):
    failed = run(spending, {"amount": 1})

    retry(failed.execution_id, input={"amount": 2}, by="bo", reason="a typo")

    entries = wiring.store().entries(failed.execution_id)
    (entry,) = [one for one in entries if one.action == EntryAction.RETRIED]
    assert entry.by == "bo"
    assert entry.output == {
        "from_step": "check",
        "reason": "a typo",
        "input": {"amount": 2},
        "input_before": {"amount": 1},
    }


def test_a_fork_tells_why(spending):
    halted = run(spending, {"amount": 2})

    forked = fork(halted.execution_id, "ask", reason="what if")

    assert wiring.store().entries(forked.id)[0].output["reason"] == "what if"


def test_a_rejection_is_gone_past_by_its_approvers_only(managed):
    rejected = run(managed, by="alice").execution_id
    resume(rejected, approved=False, by="boss")
    assert api.get(rejected).status == ExecutionStatus.FAILED

    for other in ("mallory", "alice", None):
        with pytest.raises(NotAllowed):
            skip(rejected, output={"approved": True}, by=other)
    skip(rejected, output={"approved": True}, by="boss")

    assert api.get(rejected).status == ExecutionStatus.COMPLETED


def test_what_was_approved_inside_a_step_keeps_nobody_from_skipping_it(registered):
    def fail():
        raise ValueError("broken")

    steps = [Approval("Pay?", approvers=["user:boss"], name="ask"), Call(fail, name="pay")]
    failed = run(registered("inside", both=Parallel(a=steps))).execution_id
    resume(failed, approved=True, by="boss")
    assert api.get(failed).status == ExecutionStatus.FAILED

    skip(failed, by="mallory")

    assert api.get(failed).status == ExecutionStatus.COMPLETED


# Who decides -------------------------------------------------------------------------------------


@pytest.mark.parametrize("nobody", [AnonymousUser(), ""])
def test_nobody_decides_nothing_that_somebody_asked_for(spending, nobody):
    halted = run(spending, {"amount": 2}, by="al")

    with pytest.raises(NotAllowed, match="say who does with by="):
        resume(halted.execution_id, approved=True, by=nobody)


def test_an_account_that_is_not_active_decides_nothing(spending):
    halted = run(spending, {"amount": 2})

    with pytest.raises(NotAllowed, match="is not active"):
        resume(halted.execution_id, approved=True, by=User(username="gone", is_active=False))


def test_a_late_decision_through_the_parent_hears_who_was_first(registered, spending):
    halted = run(registered("parent", kid=SubWorkflow("spending", input={"amount": 2})))
    resume(halted.execution_id, approved=True, by="alice")

    with pytest.raises(AlreadyResumed) as late:
        resume(halted.execution_id, approved=True, by="bob")

    assert late.value.by == "alice"


def test_a_child_that_nobody_answered_has_nobody_to_tell_of(registered):
    registered("asking", ask=Halt("Well?"))
    halted = run(registered("parent", kid=SubWorkflow("asking")))
    cancel(halted.waits[0].key)

    with pytest.raises(NotResumable, match="step 'kid' was ended by its child"):
        resume(halted.execution_id, approved=True)


def test_a_decision_after_the_timeout_hears_of_that(registered, travel):
    halted = run(registered("asking", ask=Approval("Well?", timeout=60)))
    travel(61)
    sweep()

    with pytest.raises(AlreadyResumed, match=r"step 'ask' timed out at 2\d\d\d-.* already"):
        resume(halted.execution_id, approved=True, by="bob")


# Delay -----------------------------------------------------------------------------------------


def test_time_is_counted_from_when_it_may_begin(registered, travel):
    workflow = registered("slow", timeout=3600, work=Call(lambda: "done"))
    later = start(workflow, delay=7200)

    travel(7201)
    sweep()

    assert api.get(later.id).result == "done"


def test_what_has_begun_is_not_delayed(registered):
    done = run(registered("plain", work=Call(lambda: 1), last=End()))

    with pytest.raises(InvalidTransition, match="not begun yet"):
        wiring.store().transition(done.execution_id, postpone(timedelta(hours=1)))
