"""Events that find their waits while others look for the same, and what else a drive may meet."""

from dataclasses import replace

import pytest

from django_workflows.core.control import cancel
from django_workflows.core.engine.arriving import deliver
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Call, End, Halt, Parallel, SubWorkflow, WaitForEvent
from django_workflows.core.waits import InboxEvent, WaitKind
from django_workflows.exceptions import EventTaken
from tests.core.flows import engine_of, flow


def test_event_that_another_took_leaves_the_next_one(monkeypatch):
    engine = engine_of(flow(paid=WaitForEvent("paid")))
    for number in (1, 2):
        engine.store.add_event(InboxEvent(name="paid", data=number))
    transition, taken = engine.store.transition, []

    def raced(execution_id, decide):
        if not taken and engine.store.load(execution_id).status == ExecutionStatus.HALTED:
            taken.append(engine.store.next_event("paid:"))
            raise EventTaken(taken[0].id)
        return transition(execution_id, decide)

    monkeypatch.setattr(engine.store, "transition", raced)

    assert engine.run().output == 1
    assert len(taken) == 1


def test_event_for_a_wait_that_has_just_closed_is_kept(monkeypatch):
    engine = engine_of(flow(paid=WaitForEvent("paid")))
    halted = engine.run()
    engine.store.add_event(InboxEvent(name="paid", data=1))
    next_event = engine.store.next_event

    def cancelled_meanwhile(topic):
        found = next_event(topic)
        if not engine.store.load(halted.execution_id).status.is_final:
            engine.store.transition(halted.execution_id, cancel("stop", None))
        return found

    (wait,) = engine.store.find_waits(kind=WaitKind.EVENT, key="paid:")
    monkeypatch.setattr(engine.store, "find_waits", lambda **wanted: [wait])
    monkeypatch.setattr(engine.store, "next_event", cancelled_meanwhile)

    assert deliver(engine.store, "paid:") == []

    assert next_event("paid:") is not None


def test_event_that_was_the_last_one_may_be_gone_before_it_is_taken(monkeypatch):
    engine = engine_of(flow(paid=WaitForEvent("paid")))
    halted = engine.run()
    seen = [InboxEvent(name="paid", data=1)]
    monkeypatch.setattr(engine.store, "next_event", lambda topic: seen.pop() if seen else None)

    assert deliver(engine.store, "paid:") == []

    assert engine.store.load(halted.execution_id).status == ExecutionStatus.HALTED


def test_event_for_one_that_is_driven_awakens_nobody():
    awakened = []
    engine = engine_of(flow(paid=WaitForEvent("paid")), awaken=awakened.append)
    oldest = engine.store.load(engine.run().execution_id)
    # As where another branch of it still works.
    engine.store.save(replace(oldest, status=ExecutionStatus.RUNNING, lease_owner="other"))
    engine.store.add_event(InboxEvent(name="paid", data=1))

    second = engine.run()

    assert second.status == ExecutionStatus.HALTED
    assert engine.store.next_event("paid:") is None
    assert awakened == []


def test_child_of_a_branch_is_cancelled_before_its_parents_error_is_handled():
    seen = []

    def fail():
        raise ValueError("no")

    kid = flow(ask=Halt("?"))
    branches = {"kid": [SubWorkflow(kid.id)], "bad": [Call(fail, name="bad")]}

    def rescue():
        (child,) = engine.store.find(kid.id)
        seen.append(child.status)

    parent = flow(
        "parent", both=Parallel(branches, on_error="rescue"), done=End(), rescue=Call(rescue)
    )
    engine = engine_of(parent, kid)
    engine.run()

    assert seen == [ExecutionStatus.CANCELLED]


def test_halt_that_cannot_be_written_is_told(monkeypatch):
    engine = engine_of(flow(ask=Halt("?")))

    def broken(*given, **options):
        raise ValueError("not to be written")

    monkeypatch.setattr(engine.store, "suspend", broken)

    with pytest.raises(ValueError, match="not to be written"):
        engine.run()
