"""What RedisStore does where a reply is lost, or where somebody else wrote first."""

from dataclasses import replace

import pytest

from django_workflows.core import clock
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change, take
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Answer, InboxEvent, WaitKind
from tests.stores.contract.records import (
    MINUTE,
    at,
    halted,
    make_child,
    make_entry,
    make_execution,
)
from tests.stores.keyspace import clear, open_store


@pytest.fixture(scope="module")
def kept():
    yield from open_store()


@pytest.fixture
def store(kept):
    clear(kept)
    return kept


# Sent again ---------------------------------------------------------------------------------------


@pytest.fixture
def twice(store, monkeypatch):
    """Give a store whose every request is sent again, as if the first reply had been lost."""
    ask = store._asked

    def ask_twice(*arguments, **options):
        ask(*arguments, **options)
        return ask(*arguments, **options)

    monkeypatch.setattr(store, "_asked", ask_twice)
    return store


def test_a_write_that_is_sent_again_is_written_once(twice):
    execution = twice.create(make_execution())
    claimed = twice.claim(execution.id, "worker", MINUTE)

    twice.checkpoint(claimed, [make_entry(claimed)], claimed.fence)

    assert len(twice.entries(execution.id)) == 1


def test_a_claim_that_is_sent_again_is_the_same_claim(twice):
    execution = twice.create(make_execution())

    claimed = twice.claim(execution.id, "worker", MINUTE)

    assert claimed == twice.load(execution.id)
    assert claimed.fence == 1


def test_claims_that_are_sent_again_are_the_same_claims(twice):
    executions = [twice.create(make_execution(age, priority=-age)) for age in range(5)]

    claimed = twice.claim_pending("worker", MINUTE, 2, workflow_ids=["orders"])

    assert [one.id for one in claimed] == [one.id for one in executions[:2]]
    assert {one.fence for one in claimed} == {1}
    assert len(twice.find(status="pending")) == 3


def test_children_that_are_created_again_are_the_same_children(twice):
    parent = twice.create(make_execution())
    children = [make_child(parent, item) for item in range(3)]

    created = twice.create_children(parent.id, parent.fence, children)

    assert created == children
    assert len(twice.find(parent=parent.id)) == 3


def test_children_that_are_released_again_are_the_same_children(twice):
    parent = twice.create(make_execution())
    held = [make_child(parent, item, status=ExecutionStatus.HALTED) for item in range(5)]
    twice.create_children(parent.id, parent.fence, held)

    released = twice.release_held(parent.id, "each", 2)

    assert [child.item for child in released] == [0, 1]
    assert len(twice.find(status="pending", parent=parent.id)) == 2


def test_a_transition_that_is_sent_again_takes_its_event_once(twice):
    execution = halted(twice, {"kind": WaitKind.EVENT, "key": "paid:7"})
    (wait,) = twice.waits(execution.id)
    events = [InboxEvent(name="paid", key="7", sent_at=at(age)) for age in range(2)]
    for event in events:
        twice.add_event(event)

    twice.transition(execution.id, take(wait.id, events[0]))

    assert twice.next_event("paid:7") == events[1]
    assert len(twice.entries(execution.id)) == 1


def test_an_event_that_is_sent_again_after_it_was_taken_stays_taken(store):
    execution = halted(store, {"kind": WaitKind.EVENT, "key": "paid:7"})
    (wait,) = store.waits(execution.id)
    event = InboxEvent(name="paid", key="7")
    chore = Chore(kind=ChoreKind.DELIVER, target=event.topic)
    store.add_event(event, chore)
    store.transition(execution.id, take(wait.id, event))
    store.finish_chore(chore.id)

    store.add_event(event, chore)

    assert store.next_event("paid:7") is None
    assert store.chores(clock.now() + MINUTE) == []


# Written by another -------------------------------------------------------------------------------


def test_a_decision_is_asked_again_where_somebody_wrote_first(store):
    execution = halted(store, {"step": "left"}, {"step": "right"})
    asked = []

    def permit(stored, wait):
        if not asked:
            store.settle(execution.id, "right", Answer(by="bob"))
        asked.append(stored.status)

    store.settle(execution.id, "left", Answer(by="alice"), permit=permit)

    assert asked == ["halted", "pending"]
    assert [wait.status for wait in store.waits(execution.id)] == ["settled", "settled"]


def test_a_decision_is_asked_again_where_its_execution_was_superseded(store):
    parent = store.create(make_execution())
    child = store.create(make_child(parent, status=ExecutionStatus.FAILED))
    asked = []

    def decide(stored, waits):
        asked.append(stored.parent_step)
        store.supersede(parent.id, "each")
        return Change(execution=replace(stored, attempt=2))

    store.transition(child.id, decide)

    assert asked == ["each", None]
    assert store.load(child.id) == replace(child, parent_step=None, attempt=2)
