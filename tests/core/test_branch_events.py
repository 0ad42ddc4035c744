"""A branch gets the event that was there before it waited, whatever else still runs."""

import threading
import time

from django_workflows.core import clock
from django_workflows.core.chores import ChoreKind
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Cause, InboxEvent, WaitStatus
from django_workflows.exceptions import StoreUnavailable
from django_workflows.steps import Call, End, Parallel, SubWorkflow, WaitForEvent
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import Crash, engine_of, flow


def beside(work, *, timeout=1):
    """Return a workflow that waits for an event in one branch while another does ``work``."""
    both = Parallel(
        paid=[WaitForEvent("paid", key="7", timeout=timeout, name="event")],
        slow=[Call(work, name="slow")],
    )
    return flow(both=both, done=End(result="$both.paid"))


def eventually(is_so):
    """Wait until ``is_so()``, for some seconds at most, and return whether it is."""
    until = time.monotonic() + 5
    while not is_so() and time.monotonic() < until:
        time.sleep(0.01)
    return is_so()


def with_event(engine):
    engine.store.add_event(InboxEvent(name="paid", key="7", data={"amount": 5}))
    return engine


def test_event_that_was_there_is_taken_while_another_branch_still_runs():
    seen = []

    def work(state):
        def settled():
            waits = engine.store.waits(state.execution_id)
            return any(wait.status == WaitStatus.SETTLED for wait in waits)

        seen.append(eventually(settled))

    engine = with_event(engine_of(beside(work), threads=Threads()))

    result = engine.run()

    assert seen == [True]
    assert result.status == ExecutionStatus.COMPLETED
    assert result.output == {"amount": 5}


def test_timeout_that_passes_while_another_branch_still_runs_is_not_given(travel):
    def work(state):
        assert eventually(lambda: engine.store.waits(state.execution_id))
        time.sleep(0.05)
        travel(2)
        engine.store.wake_due(clock.now())

    engine = with_event(engine_of(beside(work), threads=Threads()))

    assert engine.run().output == {"amount": 5}


def test_event_is_found_by_the_next_look_at_chores_where_the_driver_dies():
    store = DyingStore()
    engine = with_event(engine_of(beside(lambda: 1), store=store, threads=Threads(branches=0)))

    try:
        engine.run()
    except Crash:
        store.is_mortal = False

    (execution,) = store.find()
    (wait,) = store.waits(execution.id)
    assert wait.status == WaitStatus.OPEN
    assert [chore.kind for chore in store.chores(clock.now())] == [ChoreKind.MEET]


def test_child_in_a_branch_that_ended_meanwhile_lets_the_branch_go_on():
    child = flow("Child", event=WaitForEvent("paid", key="7"))
    both = Parallel(sub=[SubWorkflow("child", name="sub")], other=[Call(lambda: 1, name="other")])
    engine = with_event(engine_of(flow(both=both), child, threads=Threads()))

    assert engine.run().status == ExecutionStatus.COMPLETED


def test_store_that_goes_away_at_the_look_for_an_event_ends_the_drive():
    store = AwayStore()
    engine = with_event(engine_of(beside(lambda: 1), store=store, threads=Threads(branches=0)))

    try:
        engine.run()
    except StoreUnavailable as error:
        driven = error.driven

    (execution,) = store.find()
    assert execution.status == ExecutionStatus.RUNNING
    assert driven == (execution.id, 1)


def test_what_cannot_be_met_is_logged_and_left_to_others(caplog):
    store = BrokenStore()
    engine = with_event(engine_of(beside(lambda: 1), store=store, threads=Threads(branches=0)))

    result = engine.run()

    assert result.output == {"amount": 5}
    assert "could not be met" in caplog.text


def test_older_wait_of_another_gets_the_event_and_its_execution_is_awakened():
    woken = []
    engine = engine_of(beside(lambda: 1, timeout=None), awaken=woken.append)
    other = engine.run()
    engine.threads = Threads(branches=0)

    with_event(engine)
    mine = engine.run()

    assert [execution.id for execution in woken] == [other.execution_id]
    assert mine.status == ExecutionStatus.HALTED
    (settled,) = engine.store.waits(other.execution_id)
    assert settled.answer.cause == Cause.EVENT


class DyingStore(MemoryStore):
    """The process dies when it looks for the first time whether an event is there."""

    is_mortal = True

    def next_event(self, topic):
        if self.is_mortal:
            raise Crash
        return super().next_event(topic)


class AwayStore(MemoryStore):
    def next_event(self, topic):
        raise StoreUnavailable("test", "away")


class BrokenStore(MemoryStore):
    """Cannot read the event the first time."""

    times = 1
    lock = threading.Lock()

    def next_event(self, topic):
        if self.times:
            self.times -= 1
            raise ValueError("unreadable")
        return super().next_event(topic)
