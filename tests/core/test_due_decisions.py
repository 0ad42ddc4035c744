"""What is decided on an execution that nobody drives."""

from dataclasses import replace

import pytest

from django_workflows.core.chores import ChoreKind
from django_workflows.core.decisions import Due, DueReason, surrender, wake, wake_up
from django_workflows.core.execution import EntryAction, Execution, ExecutionStatus
from django_workflows.core.waits import Answer, Cause, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, NotResumable
from tests.stores.contract.records import at

NOW = at(1000)
HALTED = Execution(
    workflow_id="orders",
    status=ExecutionStatus.HALTED,
    recover_to="review",
    halt_data={"a": 1},
    claims=3,
)
RUNNING = Execution(
    workflow_id="orders",
    status=ExecutionStatus.RUNNING,
    current_step="charge",
    lease_owner="silent",
    lease_expires_at=at(999),
    fence=3,
    claims=2,
    attempt=4,
)


def woken(execution, change):
    """Return ``execution`` as wake() makes it, at the moment of ``change``."""
    assert change.execution.updated_at > execution.updated_at
    return replace(wake(execution), updated_at=change.execution.updated_at)


def wait(step="review", **values):
    return Wait(**{"execution_id": HALTED.id, "step": step} | values)


def due(reason, asked=None):
    return Due(reason=reason, execution_id=HALTED.id, wait_id=asked.id if asked else None)


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (WaitKind.TIMER, Cause.TIMER),
        (WaitKind.RETRY, Cause.RETRY),
        (WaitKind.APPROVAL, Cause.TIMEOUT),
        (WaitKind.EVENT, Cause.TIMEOUT),
        (WaitKind.HALT, Cause.TIMEOUT),
        (WaitKind.CHILD, Cause.TIMEOUT),
    ],
)
def test_wait_whose_time_has_come_is_settled_by_its_kind(kind, cause):
    asked = wait(kind=kind, wake_at=NOW)

    change = wake_up(due(DueReason.WAIT, asked), NOW)(HALTED, [asked, wait("other")])

    assert [answered.id for answered in change.waits] == [asked.id]
    assert change.waits[0].answer.cause == cause
    assert change.execution == woken(HALTED, change)


@pytest.mark.parametrize("wake_at", [None, at(1001)])
@pytest.mark.parametrize("remind_at", [None, NOW])
def test_wait_whose_time_has_not_come_is_not_settled(wake_at, remind_at):
    asked = wait(wake_at=wake_at, remind_at=remind_at)

    with pytest.raises(NotResumable, match="the time of 'review' has not come"):
        wake_up(due(DueReason.WAIT, asked), NOW)(HALTED, [asked])


@pytest.mark.parametrize("reason", [DueReason.WAIT, DueReason.REMINDER])
def test_wait_that_was_answered_meanwhile_is_due_no_more(reason):
    asked = wait(
        status=WaitStatus.SETTLED, answers=(Answer(by="alice"),), wake_at=at(1), remind_at=at(1)
    )

    with pytest.raises(AlreadyResumed):
        wake_up(due(reason, asked), NOW)(HALTED, [asked])


def test_reminder_is_noted_and_left_to_be_told():
    asked = wait(kind=WaitKind.APPROVAL, remind_at=NOW, opened_at=at(1))

    change = wake_up(due(DueReason.REMINDER, asked), NOW)(HALTED, [asked, wait("other")])

    (entry,) = change.entries
    (chore,) = change.chores
    assert change.execution is HALTED
    assert change.waits == [replace(asked, remind_at=None)]
    assert (entry.action, entry.step_id, entry.step_type) == (
        EntryAction.REMINDED,
        "review",
        "approval",
    )
    assert entry.output == {"waits_since": at(1)}
    assert (chore.kind, chore.execution_id, chore.target, chore.due_at) == (
        ChoreKind.REMIND,
        HALTED.id,
        asked.id,
        NOW,
    )


@pytest.mark.parametrize("remind_at", [None, at(1001)])
def test_reminder_whose_time_has_not_come_is_not_noted(remind_at):
    asked = wait(remind_at=remind_at, wake_at=at(1))

    with pytest.raises(NotResumable, match="nobody has to be reminded of 'review'"):
        wake_up(due(DueReason.REMINDER, asked), NOW)(HALTED, [asked])


@pytest.mark.parametrize("deadline", [at(999), NOW], ids=["past", "now"])
def test_halted_one_past_its_deadline_is_woken(deadline):
    execution = replace(HALTED, deadline_at=deadline)
    asked = wait()

    change = wake_up(due(DueReason.DEADLINE), NOW)(execution, [asked])

    assert change.execution == woken(execution, change)
    assert (change.entries, change.waits) == ((), ())


@pytest.mark.parametrize(
    "changed",
    [
        {"deadline_at": None},
        {"deadline_at": at(1001)},
        *({"status": status} for status in ExecutionStatus if status != ExecutionStatus.HALTED),
    ],
    ids=str,
)
def test_other_ones_are_not_woken_by_a_deadline(changed):
    execution = replace(HALTED, **{"deadline_at": at(1)} | changed)

    with pytest.raises(NotResumable, match="not halted past a deadline"):
        wake_up(due(DueReason.DEADLINE), NOW)(execution, [])


@pytest.mark.parametrize("until", [at(999), None], ids=["ended", "none"])
def test_lease_of_a_silent_driver_is_taken(until):
    execution = replace(RUNNING, lease_expires_at=until)

    change = wake_up(due(DueReason.EXPIRED), NOW)(execution, [wait()])

    (entry,) = change.entries
    assert change.execution == replace(
        execution,
        status=ExecutionStatus.PENDING,
        lease_owner=None,
        lease_expires_at=None,
        fence=4,
        updated_at=NOW,
    )
    assert (entry.action, entry.step_id, entry.attempt) == (EntryAction.ABANDONED, "charge", 4)
    assert entry.output == {"driver": "silent", "until": until}
    assert change.waits == ()


def test_lease_of_a_driver_that_began_no_step_is_taken():
    execution = replace(RUNNING, current_step=None)

    change = wake_up(due(DueReason.EXPIRED), NOW)(execution, [])

    assert change.entries[0].step_id == ""


@pytest.mark.parametrize(
    "changed",
    [
        {"lease_expires_at": NOW},
        {"lease_expires_at": at(1001)},
        *({"status": status} for status in ExecutionStatus if status != ExecutionStatus.RUNNING),
    ],
    ids=str,
)
def test_lease_of_a_living_driver_is_left(changed):
    execution = replace(RUNNING, **changed)

    with pytest.raises(NotResumable, match="its driver lives"):
        wake_up(due(DueReason.EXPIRED), NOW)(execution, [])


# A lease that is given back ---------------------------------------------------------------------


def test_driver_that_gives_its_lease_back_leaves_it_pending():
    change = surrender(RUNNING.fence)(RUNNING, [wait()])

    assert change.execution == replace(
        RUNNING,
        status=ExecutionStatus.PENDING,
        lease_owner=None,
        lease_expires_at=None,
        fence=4,
        updated_at=change.execution.updated_at,
    )
    assert change.execution.updated_at > RUNNING.updated_at
    assert (change.entries, change.waits, change.chores) == ((), (), ())


@pytest.mark.parametrize(
    "changed",
    [
        {"fence": 2},
        {"fence": 4},
        *({"status": status} for status in ExecutionStatus if status != ExecutionStatus.RUNNING),
    ],
    ids=str,
)
def test_driver_that_was_replaced_has_no_lease_to_give_back(changed):
    with pytest.raises(NotResumable, match="another drives it"):
        surrender(RUNNING.fence)(replace(RUNNING, **changed), [])
