"""A step under which the store goes away has not failed: it is done again."""

from contextlib import contextmanager

import pytest

from django_workflows.core.engine.arriving import meet
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import InboxEvent
from django_workflows.exceptions import EventTaken, StoreUnavailable
from django_workflows.steps import Call, WaitForEvent
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import engine_of, flow


def test_step_that_finds_the_store_away_leaves_the_execution_running():
    def ask():
        raise StoreUnavailable("test", "away")

    engine = engine_of(flow(work=Call(ask, on_error="rescue"), rescue=Call(lambda: 1)))

    with pytest.raises(StoreUnavailable) as caught:
        engine.run()

    (left,) = engine.store.find()
    assert left.status == ExecutionStatus.RUNNING
    assert caught.value.driven == (left.id, 1)
    assert engine.store.entries(left.id) == []


class Restarting(MemoryStore):
    """Goes away at the commit of the first transaction of a step."""

    times = 1

    @contextmanager
    def atomic(self):
        with super().atomic():
            yield
            if self.times:
                self.times -= 1
                raise StoreUnavailable("test", "restarted")


def test_commit_that_nobody_answers_is_no_failure_of_the_step():
    calls = []
    step = Call(lambda: calls.append(1), name="work", atomic=True)
    engine = engine_of(flow(work=step), store=Restarting())

    with pytest.raises(StoreUnavailable):
        engine.run()
    (left,) = engine.store.find()
    engine.store.save(left.__class__.from_dict({**left.to_dict(), "status": "pending"}))

    assert engine.drive(left.id).status == ExecutionStatus.COMPLETED
    assert len(calls) == 2


def test_event_that_another_wait_takes_at_that_moment_leaves_the_next_one(monkeypatch):
    engine = engine_of(flow(paid=WaitForEvent("paid")))
    halted = engine.run()
    for data in (1, 2):
        engine.store.add_event(InboxEvent(name="paid", data=data))
    transition, taken = engine.store.transition, []

    def quicker(execution_id, decide):
        if not taken:
            taken.append(engine.store.next_event("paid:"))
            raise EventTaken(taken[0].id)
        return transition(execution_id, decide)

    monkeypatch.setattr(engine.store, "transition", quicker)

    given = meet(engine.store, halted.execution_id, lambda child: None)

    assert given.status == ExecutionStatus.PENDING
