"""What the supervisor lists as driven by nobody."""

from dataclasses import replace
from datetime import timedelta

import pytest

from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.store import Due, DueReason
from django_workflows.core.waits import Answer, WaitStatus
from tests.stores.contract.records import (
    ENDED,
    MINUTE,
    at,
    halted,
    make_execution,
    make_wait,
    running,
)
from tests.stores.contract.threads import Threads
from tests.values import PRAGUE

NOW = at(1000)
A_MOMENT = timedelta(microseconds=1)


def listed(store, reason, **options):
    due = store.due(NOW, **options)
    return [(one.execution_id, one.wait_id) for one in due if one.reason == reason]


def ids(*executions):
    return [(execution.id, None) for execution in executions]


class DueContract(Threads):
    def test_nothing_is_due_in_an_empty_store(self, store):
        assert store.due(NOW) == []

    def test_a_pending_one_is_not_due(self, store):
        store.create(make_execution(lease_expires_at=at(0), deadline_at=at(0)))

        assert store.due(NOW) == []

    def test_a_driven_one_is_not_due(self, store):
        execution = store.create(make_execution(lease_expires_at=at(0)))
        store.claim(execution.id, "worker", MINUTE)

        assert store.due(NOW) == []

    def test_expired_leases_are_due_longest_ended_first(self, store):
        later = running(store, lease_expires_at=at(2))
        first = running(store, lease_expires_at=at(1))
        running(store, lease_expires_at=at(1001))

        assert listed(store, DueReason.EXPIRED) == ids(first, later)

    def test_a_lease_is_due_after_its_moment(self, store):
        execution = running(store, lease_expires_at=NOW)

        assert store.due(NOW) == []
        assert store.due(NOW + A_MOMENT) == [
            Due(reason=DueReason.EXPIRED, execution_id=execution.id)
        ]

    def test_a_running_one_without_a_lease_is_due_first(self, store):
        expired = running(store, lease_expires_at=at(1))
        unheld = running(store)

        assert listed(store, DueReason.EXPIRED) == ids(unheld, expired)

    def test_a_renewed_lease_is_not_due(self, store):
        execution = store.create(make_execution())
        claimed = store.claim(execution.id, "worker", ENDED)
        before = store.due(claimed.lease_expires_at + timedelta(seconds=1))

        store.renew(execution.id, claimed.fence, MINUTE)
        after = store.due(claimed.lease_expires_at + timedelta(seconds=1))

        assert before == [Due(reason=DueReason.EXPIRED, execution_id=execution.id)]
        assert after == []

    @pytest.mark.parametrize("status", ["halted", "completed", "failed", "cancelled"])
    def test_a_lease_of_what_is_not_running_is_not_due(self, store, status):
        store.create(make_execution(status=ExecutionStatus(status), lease_expires_at=at(0)))

        assert store.due(NOW) == []

    def test_waits_are_due_longest_due_first(self, store):
        one = halted(store, {"step": "c", "wake_at": at(3)}, {"step": "a", "wake_at": at(1)})
        other = halted(
            store, {"step": "b", "wake_at": at(2)}, {"step": "later", "wake_at": at(1001)}
        )
        waits = {wait.step: wait for wait in store.waits(one.id) + store.waits(other.id)}

        due = listed(store, DueReason.WAIT)

        assert due == [
            (one.id, waits["a"].id),
            (other.id, waits["b"].id),
            (one.id, waits["c"].id),
        ]

    @pytest.mark.parametrize(
        ("name", "reason"), [("wake_at", DueReason.WAIT), ("remind_at", DueReason.REMINDER)]
    )
    @pytest.mark.parametrize("moment", [NOW, NOW.astimezone(PRAGUE)], ids=["utc", "zone"])
    def test_a_wait_is_due_at_its_moment(self, store, name, reason, moment):
        execution = halted(store, {name: moment})

        assert [due for due, _ in listed(store, reason)] == [execution.id]
        assert store.due(NOW - A_MOMENT) == []

    def test_a_wait_without_a_time_is_not_due(self, store):
        halted(store, {})

        assert store.due(NOW) == []

    def test_reminders_are_due_longest_due_first(self, store):
        one = halted(store, {"step": "b", "remind_at": at(2)}, {"step": "later", "wake_at": at(2)})
        other = halted(store, {"step": "a", "remind_at": at(1)}, {"remind_at": at(1001)})
        (wait, _), (other_wait, _) = store.waits(one.id), store.waits(other.id)

        assert listed(store, DueReason.REMINDER) == [(other.id, other_wait.id), (one.id, wait.id)]

    def test_a_wait_may_be_due_for_both_reasons(self, store):
        execution = halted(store, {"wake_at": at(2), "remind_at": at(1)})
        (wait,) = store.waits(execution.id)

        assert listed(store, DueReason.WAIT) == [(execution.id, wait.id)]
        assert listed(store, DueReason.REMINDER) == [(execution.id, wait.id)]

    def test_a_settled_wait_is_not_due(self, store):
        execution = halted(store, {"wake_at": at(1), "remind_at": at(1)})
        store.settle(execution.id, None, Answer())

        assert store.due(NOW) == []

    @pytest.mark.parametrize("status", ["taken", "withdrawn"])
    def test_a_wait_that_a_checkpoint_closed_is_not_due(self, store, status):
        execution = store.create(make_execution())
        claimed = store.claim(execution.id, "worker", MINUTE)
        wait = make_wait(claimed, wake_at=at(1), remind_at=at(1))
        store.checkpoint(claimed, [], claimed.fence, [wait])

        closed = replace(wait, status=WaitStatus(status))
        store.checkpoint(claimed, [], claimed.fence, [closed])

        assert store.due(NOW) == []

    def test_an_open_wait_of_a_running_execution_is_due(self, store):
        execution = running(store, lease_expires_at=at(1001), fence=1)
        wait = make_wait(execution, wake_at=at(1))
        store.checkpoint(execution, [], 1, [wait])

        assert listed(store, DueReason.WAIT) == [(execution.id, wait.id)]

    def test_halted_ones_past_their_deadline_are_due_longest_first(self, store):
        later = halted(store, {}, deadline_at=at(2))
        first = halted(store, {}, deadline_at=at(1))
        exactly = halted(store, {}, deadline_at=NOW)
        halted(store, {}, deadline_at=at(1001))
        halted(store, {})

        assert listed(store, DueReason.DEADLINE) == ids(first, later, exactly)

    @pytest.mark.parametrize("status", ["pending", "completed", "failed", "cancelled"])
    def test_a_deadline_of_what_is_not_halted_is_not_due(self, store, status):
        store.create(make_execution(status=ExecutionStatus(status), deadline_at=at(1)))

        assert store.due(NOW) == []

    def test_a_deadline_of_what_runs_is_not_due(self, store):
        running(store, lease_expires_at=at(1001), deadline_at=at(1))

        assert store.due(NOW) == []

    def test_the_limit_holds_for_each_reason(self, store):
        for age in (1, 2, 3):
            running(store, lease_expires_at=at(age))
            halted(store, {"wake_at": at(age), "remind_at": at(age)}, deadline_at=at(age))

        reasons = [due.reason for due in store.due(NOW, limit=2)]

        assert sorted(reasons) == sorted(list(DueReason) * 2)

    def test_what_is_over_is_not_due(self, store):
        execution = halted(store, {"wake_at": at(1), "remind_at": at(1)}, deadline_at=at(1))
        (wait,) = store.waits(execution.id)

        def cancel(stored, waits):
            cancelled = replace(stored, status=ExecutionStatus.CANCELLED)
            return Change(execution=cancelled, waits=[replace(wait, status=WaitStatus.WITHDRAWN)])

        store.transition(execution.id, cancel)

        assert store.due(NOW) == []
