"""What the supervisor decides on what is due."""

from dataclasses import replace
from datetime import timedelta

import pytest

from django_workflows.core.chores import ChoreKind
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.waits import Answer, Cause, WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, StaleExecution
from tests.stores.contract.due import NOW
from tests.stores.contract.records import (
    MINUTE,
    at,
    halted,
    make_entry,
    make_execution,
    make_wait,
    running,
)
from tests.stores.contract.threads import Threads


def names(executions):
    return {execution.id for execution in executions}


class WakingContract(Threads):
    def test_nothing_is_woken_where_nothing_is_due(self, store):
        store.create(make_execution())
        asleep = halted(store, {"wake_at": at(1001), "remind_at": at(1001)}, deadline_at=at(1001))
        driven = running(store, lease_expires_at=at(1001), deadline_at=at(1))

        assert store.wake_due(NOW) == []
        assert [store.load(asleep.id), store.load(driven.id)] == [asleep, driven]
        assert store.entries(asleep.id) == store.entries(driven.id) == []

    # A lease that ran out -----------------------------------------------------------------------

    def test_an_abandoned_one_is_pending_under_a_new_fence(self, store):
        execution = running(
            store, lease_owner="silent", lease_expires_at=at(1), fence=3, claims=2, attempt=4
        )

        woken = store.wake_due(NOW)

        assert woken == [
            replace(
                execution,
                status=ExecutionStatus.PENDING,
                lease_owner=None,
                lease_expires_at=None,
                fence=4,
                updated_at=NOW,
            )
        ]
        assert store.load(execution.id) == woken[0]

    def test_an_abandoned_one_has_an_entry_of_who_fell_silent(self, store):
        execution = running(
            store, lease_owner="silent", lease_expires_at=at(1), attempt=4, current_step="charge"
        )

        store.wake_due(NOW)

        (entry,) = store.entries(execution.id)
        assert (entry.action, entry.step_id, entry.attempt) == (EntryAction.ABANDONED, "charge", 4)
        assert entry.output == {"driver": "silent", "until": at(1)}

    def test_an_abandoned_one_takes_nothing_of_its_late_driver(self, store):
        execution = running(store, lease_owner="slow", lease_expires_at=at(1), fence=3)
        store.wake_due(NOW)

        with pytest.raises(StaleExecution):
            store.checkpoint(execution, [make_entry(execution)], execution.fence)

        assert store.renew(execution.id, execution.fence, MINUTE) is False
        assert len(store.entries(execution.id)) == 1

    def test_an_abandoned_one_is_claimed_anew(self, store):
        execution = running(store, lease_owner="silent", lease_expires_at=at(1), fence=3, claims=2)
        store.wake_due(NOW)

        claimed = store.claim(execution.id, "next", MINUTE)

        assert (claimed.lease_owner, claimed.fence, claimed.claims) == ("next", 5, 3)

    # A wait whose time has come -----------------------------------------------------------------

    @pytest.mark.parametrize(
        ("kind", "cause"),
        [
            (WaitKind.TIMER, Cause.TIMER),
            (WaitKind.RETRY, Cause.RETRY),
            (WaitKind.APPROVAL, Cause.TIMEOUT),
            (WaitKind.EVENT, Cause.TIMEOUT),
        ],
    )
    def test_a_wait_is_settled_and_its_execution_pending(self, store, kind, cause):
        execution = halted(store, {"kind": kind, "wake_at": at(1), "required": 2})

        woken = store.wake_due(NOW)

        (wait,) = store.waits(execution.id)
        (entry,) = store.entries(execution.id)
        assert (wait.status, wait.answer.cause) == (WaitStatus.SETTLED, cause)
        assert (entry.action, entry.step_id) == (EntryAction.RESUMED, "review")
        assert names(woken) == {execution.id}
        assert woken == [store.load(execution.id)]
        assert woken[0].status == ExecutionStatus.PENDING
        assert (woken[0].recover_to, woken[0].halt_data, woken[0].claims) == (None, None, 0)

    def test_a_wait_of_a_running_execution_is_settled_and_it_runs_on(self, store):
        execution = running(store, lease_expires_at=at(1001), fence=1)
        store.checkpoint(execution, [], 1, [make_wait(execution, wake_at=at(1))])

        assert store.wake_due(NOW) == []

        (wait,) = store.waits(execution.id)
        assert wait.status == WaitStatus.SETTLED
        assert store.load(execution.id) == execution

    def test_the_waits_of_one_execution_are_all_settled(self, store):
        execution = halted(
            store,
            {"step": "left", "wake_at": at(1)},
            {"step": "right", "wake_at": at(2)},
            {"step": "later", "wake_at": at(1001)},
        )

        woken = store.wake_due(NOW)

        statuses = {wait.step: wait.status for wait in store.waits(execution.id)}
        assert statuses == {"left": "settled", "right": "settled", "later": "open"}
        assert names(woken) == {execution.id}

    # A reminder ---------------------------------------------------------------------------------

    def test_a_reminder_is_written_once_and_the_wait_stays_open(self, store):
        execution = halted(store, {"kind": WaitKind.APPROVAL, "remind_at": at(1)})
        (wait,) = store.waits(execution.id)

        assert store.wake_due(NOW) == []

        (entry,) = store.entries(execution.id)
        assert store.waits(execution.id) == [replace(wait, remind_at=None)]
        assert store.load(execution.id) == execution
        assert (entry.action, entry.step_id) == (EntryAction.REMINDED, "review")
        assert (entry.step_type, entry.output) == ("approval", {"waits_since": wait.opened_at})

    def test_a_reminder_leaves_the_chore_to_tell_of_it(self, store):
        execution = halted(store, {"remind_at": at(1)})
        (wait,) = store.waits(execution.id)

        store.wake_due(NOW)

        (chore,) = store.chores(NOW)
        assert (chore.kind, chore.due_at) == (ChoreKind.REMIND, NOW)
        assert (chore.execution_id, chore.target) == (execution.id, wait.id)

    # A deadline ---------------------------------------------------------------------------------

    def test_a_halted_one_past_its_deadline_is_pending(self, store):
        execution = halted(store, {}, deadline_at=at(1))

        woken = store.wake_due(NOW)

        assert names(woken) == {execution.id}
        assert woken == [store.load(execution.id)]
        assert woken[0].status == ExecutionStatus.PENDING
        assert (woken[0].recover_to, woken[0].halt_data, woken[0].claims) == (None, None, 0)
        assert [wait.status for wait in store.waits(execution.id)] == [WaitStatus.OPEN]

    # All of them --------------------------------------------------------------------------------

    def test_waking_twice_finds_nothing(self, store):
        executions = _one_of_each(store)
        first = store.wake_due(NOW)
        kept = _all_of(store, executions)

        second = store.wake_due(NOW)

        assert names(first) == {executions[name] for name in ("expired", "timer", "deadline")}
        assert second == []
        assert _all_of(store, executions) == kept

    def test_what_was_answered_meanwhile_is_not_woken(self, store):
        execution = halted(store, {"wake_at": at(1), "remind_at": at(1)}, deadline_at=at(1))
        settled = store.settle(execution.id, None, Answer(by="alice"))

        assert store.wake_due(NOW) == []
        assert store.load(execution.id) == settled
        assert len(store.entries(execution.id)) == 1

    def test_the_longest_due_are_woken_first(self, store):
        expired = [running(store, lease_expires_at=at(age)).id for age in (3, 1, 2)]
        timers = [halted(store, {"wake_at": at(age)}).id for age in (3, 1, 2)]
        deadlines = [halted(store, {}, deadline_at=at(age)).id for age in (3, 1, 2)]

        first, second = (names(store.wake_due(NOW, limit=2)) for _ in range(2))

        assert first == {*expired[1:], *timers[1:], *deadlines[1:]}
        assert second == {expired[0], timers[0], deadlines[0]}

    def test_reminders_keep_to_the_limit(self, store):
        for age in (3, 1, 2):
            halted(store, {"step": str(age), "remind_at": at(age)})

        store.wake_due(NOW, limit=2)

        unreminded = [wait.step for wait in store.find_waits() if wait.remind_at is not None]
        assert unreminded == ["3"]

    def test_waking_at_once_decides_each_once(self, store):
        rows = [_one_of_each(store) for _ in range(3)]

        outcomes = self.together(lambda number: store.wake_due(NOW + timedelta(seconds=number)))

        woken = [execution.id for batch in outcomes for execution in batch]
        ids = {row[name] for row in rows for name in ("expired", "timer", "deadline")}
        assert sorted(woken) == sorted(ids)
        assert {store.load(name).fence for row in rows for name in [row["expired"]]} == {8}
        for row in rows:
            counts = {name: len(store.entries(row[name])) for name in row}
            assert counts == {"expired": 1, "timer": 1, "reminder": 1, "deadline": 0}
        assert len(store.chores(NOW + MINUTE)) == 3

    def test_waking_and_answering_at_once_gives_one_answer(self, store):
        execution = halted(store, {"wake_at": at(1)})

        def work(number):
            if number % 2:
                return names(store.wake_due(NOW))
            return names([store.settle(execution.id, None, Answer(by=f"user {number}"))])

        outcomes = self.together(work)

        (wait,) = store.waits(execution.id)
        answered = [outcome for outcome in outcomes if outcome == {execution.id}]
        refused = [outcome for outcome in outcomes if isinstance(outcome, AlreadyResumed)]
        assert len(wait.answers) == len(answered) == len(store.entries(execution.id)) == 1
        assert 3 <= len(refused) <= 4

    def test_waking_and_renewing_at_once_agree(self, store):
        for _ in range(5):
            execution = running(store, lease_expires_at=at(1), fence=3)

            def work(number, execution=execution):
                if number:
                    return bool(store.wake_due(NOW))
                return store.renew(execution.id, 3, MINUTE)

            renewed, woken = self.together(work, 2)

            stored = store.load(execution.id)
            assert (renewed, woken) in {(True, False), (False, True)}
            assert (stored.status, stored.fence) == (("running", 3) if renewed else ("pending", 4))


def _one_of_each(store):
    """Store one that is due for each reason, and return their ids by it."""
    executions = {
        "expired": running(store, lease_owner="silent", lease_expires_at=at(1), fence=7),
        "timer": halted(store, {"kind": WaitKind.TIMER, "wake_at": at(1)}),
        "reminder": halted(store, {"remind_at": at(1)}),
        "deadline": halted(store, {}, deadline_at=at(1)),
    }
    return {reason: execution.id for reason, execution in executions.items()}


def _all_of(store, executions):
    """Return all that is stored of ``executions``."""
    return [
        (store.load(name), store.entries(name), store.waits(name), store.chores(NOW + MINUTE))
        for name in executions.values()
    ]
