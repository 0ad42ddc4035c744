"""retry and fork begin where an execution has been, and never behind a decision of others."""

import pytest

from django_workflows import api, cancel, fork, registry, resume, retry, run, skip, wiring
from django_workflows.core.control import trail_of
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import InvalidTransition
from django_workflows.steps import Approval, Assign, Call, End, Halt, Loop, Parallel, Router, When

pytestmark = pytest.mark.django_db(transaction=True)


class Till:
    """A charge that fails until it is mended, and keeps what it has charged."""

    def __init__(self):
        self.broken = True
        self.charged = []

    def __call__(self, state):
        if self.broken:
            raise ValueError("no money")
        self.charged.append(state.input["amount"])


@pytest.fixture
def till():
    return Till()


@pytest.fixture
def order(registered, till):
    """A charge that somebody has to approve."""
    return registered(
        "order",
        check=Call(lambda: 1),
        review=Approval("Pay?", exclude_requester=False),
        charge=Call(till),
    )


def rejected(order):
    """Return one whose approver has said no."""
    asked = run(order, {"amount": 1})
    return resume(asked.execution_id, approved=False, wait=True).execution_id


def approved(order):
    """Return one that failed behind its approval."""
    asked = run(order, {"amount": 1})
    return resume(asked.execution_id, approved=True, wait=True).execution_id


# Steps that it never came to ---------------------------------------------------------------------


@pytest.mark.parametrize("by", [None, "ann"])
def test_retry_does_not_go_past_a_rejection(order, till, by):
    execution_id, till.broken = rejected(order), False

    with pytest.raises(InvalidTransition, match=r"retry from 'charge' needs .* past that step"):
        retry(execution_id, from_step="charge", by=by)
    with pytest.raises(InvalidTransition, match="past that step"):
        retry(execution_id, from_step="charge", input={"amount": 2}, by=by)

    assert api.get(execution_id).status == ExecutionStatus.FAILED
    assert till.charged == []


def test_retry_of_a_rejection_asks_again(order, till):
    execution_id, till.broken = rejected(order), False

    retry(execution_id, from_step="review")

    assert api.get(execution_id).status == ExecutionStatus.HALTED
    resume(execution_id, approved=True, wait=True)
    assert till.charged == [1]


def test_what_never_began_is_retried_from_its_beginning_alone(order):
    execution = cancel(api.start(order, {"amount": 1}, delay=60).id)

    with pytest.raises(InvalidTransition, match="past that step"):
        retry(execution.id, from_step="charge")
    retry(execution.id, from_step="check")

    assert api.get(execution.id).current_step == "review"


def test_retry_from_a_branch_not_taken_is_refused(registered, fault):
    workflow = registered(
        "choosing",
        way=Router(When(lambda state: True, then="left"), default="right"),
        left=Call(fault, next="done"),
        right=Call(lambda: 1),
        done=End(),
    )
    failed = run(workflow).execution_id

    with pytest.raises(InvalidTransition, match="past that step"):
        retry(failed, from_step="right")
    retry(failed, from_step="way")

    assert api.get(failed).current_step == "left"


def test_retry_from_a_step_that_was_skipped(registered, fault):
    workflow = registered("skipping", one=Call(fault), ask=Halt("?"), two=Call(fault))
    skipped = skip(run(workflow).execution_id).id
    resume(skipped, wait=True)
    fault.broken = False

    retry(skipped, from_step="one")

    assert api.get(skipped).current_step == "ask"


def test_retry_from_a_step_of_a_loop_that_went_back(registered, fault):
    workflow = registered(
        "circling",
        one=Call(lambda state: state.ctx.get("round", 0) + 1, output="round"),
        two=Call(lambda: 2),
        again=Router(When(lambda state: state.ctx["round"] < 2, then="one"), default="work"),
        work=Call(fault),
    )
    failed = run(workflow).execution_id
    fault.broken = False

    retry(failed, from_step="two")

    assert api.get(failed).status == ExecutionStatus.COMPLETED


def test_a_step_that_compensated_has_not_been_reached(registered, fault):
    workflow = registered(
        "undoing",
        book=Call(lambda: 1, compensate="unbook"),
        work=Call(fault),
        done=End(),
        unbook=Call(lambda: 0),
    )
    failed = run(workflow).execution_id

    with pytest.raises(InvalidTransition, match="past that step"):
        retry(failed, from_step="unbook")
    retry(failed, from_step="book")


@pytest.mark.parametrize(
    ("new", "offered"),
    [
        ({"check": Call(lambda: 1), "pay": Call(lambda: 2)}, True),
        # Which way it was on is not known.
        ({"check": Router(When(lambda state: True, then="pay")), "pay": Call(lambda: 2)}, False),
        ({"check": Call(lambda: 1, on_error="pay"), "x": Call(lambda: 1), "pay": End()}, False),
        ({"other": Call(lambda: 1), "pay": Call(lambda: 2)}, False),
    ],
)
def test_what_took_the_place_of_a_step_that_is_gone_is_reached(registered, fault, new, offered):
    failed = run(registered("old", check=Call(lambda: 1), charge=Call(fault))).execution_id
    registered("new", **new)

    trail = trail_of(registry["new"], api.get(failed), wiring.store().entries(failed))

    assert ("pay" in trail.first) == offered


def test_nothing_takes_the_place_of_an_approval_that_is_gone(order, registered):
    execution_id = rejected(order)
    registered("new", check=Call(lambda: 1), charge=Call(lambda: 2))

    trail = trail_of(registry["new"], api.get(execution_id), wiring.store().entries(execution_id))

    assert "charge" not in trail.first


# An input that nobody approved -------------------------------------------------------------------


@pytest.mark.parametrize("from_step", [None, "charge"])
def test_another_input_is_not_charged_on_the_approval_of_the_first(order, till, from_step):
    execution_id, till.broken = approved(order), False

    with pytest.raises(InvalidTransition, match="begin at or before step 'review', whose approval"):
        retry(execution_id, from_step=from_step, input={"amount": 1_000_000})

    assert api.get(execution_id).input == {"amount": 1}
    retry(execution_id, from_step=from_step)
    assert till.charged == [1]


def test_the_same_input_is_no_other(order, till):
    execution_id, till.broken = approved(order), False

    retry(execution_id, input={"amount": 1})

    assert till.charged == [1]


@pytest.mark.parametrize("from_step", ["check", "review"])
def test_another_input_is_asked_for_anew(order, till, from_step):
    execution_id, till.broken = approved(order), False

    retry(execution_id, from_step=from_step, input={"amount": 5})

    asked = api.get(execution_id)
    assert (asked.status, asked.current_step) == (ExecutionStatus.HALTED, "review")
    assert "review" not in asked.ctx  # what was said to the other is no answer to this
    resume(execution_id, approved=True, wait=True)
    assert till.charged == [5]


def test_what_was_rejected_with_another_input_is_not_charged_as_before(order, till):
    execution_id = approved(order)
    retry(execution_id, from_step="review", input={"amount": 1_000_000})
    resume(execution_id, approved=False, wait=True)
    till.broken = False

    with pytest.raises(InvalidTransition, match="begun at or before step 'review'"):
        retry(execution_id, from_step="charge")
    with pytest.raises(InvalidTransition, match="begun at or before step 'review'"):
        fork(execution_id, "charge")

    assert till.charged == []


def test_what_was_cancelled_before_it_was_decided_anew_is_not_charged_as_before(order, till):
    execution_id = approved(order)
    retry(execution_id, from_step="check", input={"amount": 1_000_000})
    cancel(execution_id)
    till.broken = False

    with pytest.raises(InvalidTransition, match="begun at or before step 'review'"):
        retry(execution_id, from_step="charge")


def test_what_was_approved_anew_goes_on_behind_it(order, till):
    execution_id = approved(order)
    retry(execution_id, from_step="review", input={"amount": 5})
    resume(execution_id, approved=True, wait=True)
    till.broken = False

    retry(execution_id, from_step="charge")

    assert till.charged == [5]


def test_a_rejection_that_leads_on_is_retried_where_it_led(registered, till):
    workflow = registered(
        "refusing",
        review=Approval("Pay?", on_reject="tell"),
        charge=Call(lambda: 1, next="done"),
        tell=Call(lambda: 2),
        note=Call(till),
        done=End(),
    )
    execution_id, till.broken = rejected(workflow), False

    retry(execution_id, from_step="tell")

    assert till.charged == [1]


def test_an_approval_that_was_skipped_by_who_may_decide_it_is_decided(order, till):
    execution_id = run(order, {"amount": 1}).execution_id
    skip(execution_id)
    till.broken = False

    with pytest.raises(InvalidTransition, match="begin at or before step 'review'"):
        retry(execution_id, input={"amount": 2})
    retry(execution_id, from_step="charge")

    assert till.charged == [1]


@pytest.mark.parametrize(
    "review",
    [
        Loop(over=[1], do=Approval("Pay?", exclude_requester=False, name="ask")),
        Parallel(a=Approval("Pay?", exclude_requester=False, name="ask")),
    ],
)
def test_an_approval_inside_a_step_counts_as_that_step(registered, till, review):
    workflow = registered("nested", review=review, charge=Call(till))
    execution_id, till.broken = approved(workflow), False

    with pytest.raises(InvalidTransition, match="begin at or before step 'review'"):
        retry(execution_id, input={"amount": 2})
    retry(execution_id, from_step="review", input={"amount": 2})

    assert api.get(execution_id).status == ExecutionStatus.HALTED


def test_another_input_does_not_go_on_inside_the_step_that_was_approved_in_part(registered, till):
    workflow = registered(
        "inside", both=Loop(over=[1], do=[Approval("Pay?", name="ask"), Call(till, name="pay")])
    )
    execution_id, till.broken = approved(workflow), False

    with pytest.raises(InvalidTransition, match="begin at or before step 'both'"):
        retry(execution_id, input={"amount": 2})
    retry(execution_id, from_step="both", input={"amount": 2})

    assert api.get(execution_id).status == ExecutionStatus.HALTED


# Forks -------------------------------------------------------------------------------------------


def test_a_fork_behind_an_approval_takes_no_other_input(order, till):
    forked = fork(fork(approved(order), "charge").id, "charge").id
    till.broken = False

    with pytest.raises(InvalidTransition, match="begin at or before step 'review'"):
        retry(forked, input={"amount": 1_000_000})
    retry(forked, from_step="review", input={"amount": 7})

    assert api.get(forked).status == ExecutionStatus.HALTED
    resume(forked, approved=True, wait=True)
    assert till.charged == [7]


def test_a_fork_at_an_approval_is_bound_by_what_is_decided_in_it(order, till):
    forked = fork(approved(order), "review").id
    till.broken = False

    assert api.get(forked).status == ExecutionStatus.HALTED
    with pytest.raises(InvalidTransition, match="past that step"):
        retry(cancel(forked).id, from_step="charge")


def test_what_asks_nobody_takes_another_input_where_it_failed(registered, till):
    workflow = registered("plain", set=Assign(a=1), charge=Call(till))
    failed = run(workflow, {"amount": 1}).execution_id
    till.broken = False

    retry(failed, input={"amount": 2})

    assert till.charged == [2]


def test_the_same_input_given_again_leaves_the_approval_as_it_was(order, till):
    execution_id = approved(order)

    retry(execution_id, input={"amount": 1})
    till.broken = False
    done = retry(execution_id, from_step="charge")

    assert api.get(done.id).status == ExecutionStatus.COMPLETED
    assert till.charged == [1]


def test_to_skip_one_approval_decides_no_other(registered, till):
    registered(
        "twice",
        first=Approval("?", exclude_requester=False),
        second=Approval("?", exclude_requester=False),
        charge=Call(till),
    )
    execution_id = run("twice", {"amount": 1}).execution_id
    resume(execution_id, approved=False, wait=True)
    skip(execution_id)
    skip(execution_id)
    till.broken = False

    retry(execution_id)

    assert till.charged == [1]
    history = wiring.store().entries(execution_id)
    trail = trail_of(registry["twice"], api.get(execution_id), history)
    assert [asked.stands for asked in trail.asked.values()] == [True, True]
