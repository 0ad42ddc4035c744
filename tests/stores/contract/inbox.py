"""What the supervisor lists, and what events and graphs are kept."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.store import Due, DueReason
from django_workflows.core.waits import Answer, InboxEvent, WaitKind
from tests.stores.contract.records import (
    ENDED,
    MINUTE,
    UNKNOWN_ID,
    at,
    halted,
    make_execution,
    make_wait,
)
from tests.stores.contract.threads import Threads
from tests.values import PRAGUE, SAMPLES, exact

NOW = at(1000)


def listed(store, reason, **options):
    due = store.due(NOW, **options)
    return [(one.execution_id, one.wait_id) for one in due if one.reason == reason]


def ids(*executions):
    return [(execution.id, None) for execution in executions]


def make_event(age=0, **values):
    return InboxEvent(**{"name": "paid", "key": "7", "sent_at": at(age)} | values)


class InboxContract(Threads):
    # Due ----------------------------------------------------------------------------------------

    def test_nothing_is_due_in_an_empty_store(self, store):
        assert store.due(NOW) == []

    def test_pending_ones_are_due_oldest_first(self, store):
        young, old, middle = (store.create(make_execution(age)) for age in (3, 1, 2))

        assert listed(store, DueReason.PENDING) == ids(old, middle, young)

    def test_a_driven_one_is_not_due(self, store):
        execution = store.create(make_execution(lease_expires_at=at(0)))
        store.claim(execution.id, "worker", MINUTE)

        assert store.due(NOW) == []

    def test_expired_leases_are_due_longest_ended_first(self, store):
        later = _running(store, lease_expires_at=at(2))
        first = _running(store, lease_expires_at=at(1))
        _running(store, lease_expires_at=at(1001))

        assert listed(store, DueReason.EXPIRED) == ids(first, later)
        assert listed(store, DueReason.PENDING) == []

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

    def test_a_wait_is_due_at_its_moment(self, store):
        execution = halted(store, {"wake_at": NOW})

        assert [due for due, _ in listed(store, DueReason.WAIT)] == [execution.id]
        assert store.due(NOW - timedelta(microseconds=1)) == []

    def test_a_wait_in_another_zone_is_due_at_its_moment(self, store):
        halted(store, {"wake_at": NOW.astimezone(PRAGUE)})

        assert len(listed(store, DueReason.WAIT)) == 1
        assert store.due(NOW - timedelta(microseconds=1)) == []

    def test_a_wait_without_a_time_is_not_due(self, store):
        halted(store, {"remind_at": at(1)})

        assert store.due(NOW) == []

    def test_a_settled_wait_is_not_due(self, store):
        execution = halted(store, {"wake_at": at(1)})
        store.settle(execution.id, None, Answer())

        assert listed(store, DueReason.WAIT) == []
        assert listed(store, DueReason.PENDING) == ids(execution)

    def test_an_open_wait_of_a_running_execution_is_due(self, store):
        execution = _running(store, lease_expires_at=at(1001), fence=1)
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

        assert listed(store, DueReason.DEADLINE) == []

    def test_the_limit_holds_for_each_reason(self, store):
        for age in (1, 2, 3):
            store.create(make_execution(age, queue=str(age)))
            _running(store, lease_expires_at=at(age))
            halted(store, {"wake_at": at(age)}, deadline_at=at(age))

        reasons = [due.reason for due in store.due(NOW, limit=2)]

        assert sorted(reasons) == sorted(list(DueReason) * 2)

    def test_what_is_over_is_not_due(self, store):
        execution = halted(store, {"wake_at": at(1)}, deadline_at=at(1))
        (wait,) = store.waits(execution.id)

        store.transition(
            execution.id,
            lambda stored, waits: _cancelled(stored, [replace(wait, status="withdrawn")]),
        )

        assert store.due(NOW) == []

    # Events -------------------------------------------------------------------------------------

    def test_an_event_is_given_to_the_wait_that_asks_for_it(self, store):
        event = make_event(data=SAMPLES, by="alice")
        store.add_event(event)
        wait = _event_wait()

        given = store.reserve_event(wait)

        assert given == replace(event, taken_by=wait.id)
        assert exact(given.data) == exact(SAMPLES)

    def test_the_oldest_event_is_given_first(self, store):
        for age in (3, 1, 2):
            store.add_event(make_event(age, data=age))

        given = [store.reserve_event(_event_wait()).data for _ in range(3)]

        assert given == [1, 2, 3]

    def test_a_wait_is_given_the_same_event_again(self, store):
        for age in (1, 2):
            store.add_event(make_event(age))
        wait = _event_wait()
        first = store.reserve_event(wait)
        store.add_event(make_event(-1))

        assert store.reserve_event(wait) == first

    @pytest.mark.parametrize("key", ["paid:8", "Paid:7", "paid:", "sent:7", "", None])
    def test_a_wait_is_given_no_event_of_another_topic(self, store, key):
        store.add_event(make_event())

        assert store.reserve_event(_event_wait(key=key)) is None

    def test_an_event_without_a_key(self, store):
        store.add_event(make_event(key=""))

        assert store.reserve_event(_event_wait(key="paid:")).name == "paid"

    def test_events_are_given_out_at_once_but_none_twice(self, store):
        for age in range(5):
            store.add_event(make_event(age, data=age))

        given = self.together(lambda number: store.reserve_event(_event_wait()))

        assert sorted(event.data for event in given if event) == [0, 1, 2, 3, 4]
        assert given.count(None) == 3

    def test_one_wait_that_asks_at_once_is_given_one_event(self, store):
        for age in range(3):
            store.add_event(make_event(age, data=age))
        wait = _event_wait()

        given = self.together(lambda number: store.reserve_event(wait))

        assert {event.id for event in given} == {given[0].id}
        assert store.reserve_event(_event_wait()) is not None

    # Graphs -------------------------------------------------------------------------------------

    def test_a_graph_is_kept_for_each_version(self, store):
        graph = {"steps": [{"id": "a", "delay": Decimal("1.5")}], "b": {}, "a": None}
        store.remember_graph("orders", "1", graph)
        store.remember_graph("orders", "2", {})

        assert exact(store.graph("orders", "1")) == exact(graph)
        assert store.graph("orders", "2") == {}

    @pytest.mark.parametrize(
        ("workflow_id", "version"), [("orders", "2"), ("Orders", "1"), ("other", "1"), ("", "")]
    )
    def test_an_unknown_graph_is_none(self, store, workflow_id, version):
        store.remember_graph("orders", "1", {})

        assert store.graph(workflow_id, version) is None

    def test_the_latest_graph_of_a_version_is_kept(self, store):
        for number in (1, 2):
            store.remember_graph("orders", "", {"n": number})

        assert store.graph("orders", "") == {"n": 2}

    def test_a_graph_remembered_at_once_is_kept(self, store):
        outcomes = self.together(lambda number: store.remember_graph("orders", "1", {"n": 1}))

        assert outcomes == [None] * 8
        assert store.graph("orders", "1") == {"n": 1}


def _running(store, **values):
    return store.create(make_execution(status=ExecutionStatus.RUNNING, **values))


def _event_wait(key="paid:7"):
    return make_wait(make_execution(id=UNKNOWN_ID), kind=WaitKind.EVENT, key=key)


def _cancelled(execution, waits):
    from django_workflows.core.decisions import Change

    cancelled = replace(execution, status=ExecutionStatus.CANCELLED)
    return Change(execution=cancelled, waits=waits)
