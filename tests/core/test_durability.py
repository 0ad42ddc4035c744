"""durability="halt": nothing is written between two rests, and nothing is lost that was."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest

from django_workflows import F, Retry
from django_workflows.core.document import load_document
from django_workflows.core.engine.limits import Limits
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.validation import problems
from django_workflows.steps import Approval, Assign, Call, End, ForEach, Loop, SubWorkflow
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import Crash, FailingCommit, define, engine_of, flow

DONE = EntryAction.COMPLETED


class Counting(MemoryStore):
    """Counts its checkpoints, by how many entries each of them has."""

    def __init__(self):
        super().__init__()
        self.written = []

    def checkpoint(self, execution, entries, fence, waits=(), **options):
        self.written.append(len(entries))
        return super().checkpoint(execution, entries, fence, waits, **options)


def light(**steps):
    return type(flow(**steps))("Light", (flow(**steps),), {"id": "light", "durability": "halt"})


def actions(store, execution_id):
    return [(entry.step_id, entry.action) for entry in store.entries(execution_id)]


def test_run_is_written_once_at_its_end():
    store = Counting()
    engine = engine_of(light(a=Call(int), b=Call(int), c=Call(int)), store=store)

    result = engine.run()

    assert result.status == ExecutionStatus.COMPLETED
    assert store.written == [3]
    assert actions(store, result.execution_id) == [("a", DONE), ("b", DONE), ("c", DONE)]


def test_by_default_each_step_is_written():
    store = Counting()

    engine_of(flow(a=Call(int), b=Call(int), c=Call(int)), store=store).run()

    assert store.written == [1, 1, 1]


def test_subscribers_hear_of_each_step_as_it_ends():
    heard = []
    workflow = light(a=Call(int), b=Call(lambda: heard.append("b runs")))

    engine_of(workflow, emit=lambda event: heard.append((event.name, event.step))).run()

    assert heard.index(("step.completed", "a")) < heard.index("b runs")


def test_halt_is_written_with_what_came_before_it():
    store = Counting()
    engine = engine_of(light(a=Call(int), ask=Approval("Sure?"), b=Call(int)), store=store)

    halted = engine.run()
    assert actions(store, halted.execution_id) == [("a", DONE), ("ask", EntryAction.HALTED)]
    ended = engine.resume(halted.execution_id, approved=True)

    assert ended.status == ExecutionStatus.COMPLETED
    assert store.written == [2]  # halting is no checkpoint of its own


def test_atomic_step_is_written_with_its_transaction():
    store = FailingCommit(at=2)
    engine = engine_of(light(a=Call(int), b=Call(int, atomic=True), c=Call(int)), store=store)

    result = engine.run()

    assert result.status == ExecutionStatus.COMPLETED
    assert store.commits_left == 1


def test_long_loop_does_not_gather_without_end():
    store = Counting()

    engine_of(light(each=Loop(over=list(range(600)), do=Call(int), max=1000)), store=store).run()

    assert sum(store.written) == 601
    assert len(store.written) == 2


def test_failure_is_written_with_what_came_before_it():
    store = MemoryStore()
    engine = engine_of(light(a=Call(int), b=Call(lambda: 1 / 0)), store=store)

    result = engine.run()

    assert result.status == ExecutionStatus.FAILED
    assert actions(store, result.execution_id) == [("a", DONE), ("b", EntryAction.FAILED)]


def test_crash_runs_again_what_came_after_the_last_rest():
    ran, crash = [], [Crash]

    def note(state):
        ran.append(state.idempotency_key.partition(":")[2])
        if state.current_step == "c" and crash:
            raise crash.pop()

    store = MemoryStore()
    workflow = light(a=Call(note), ask=Approval("Sure?"), b=Call(note), c=Call(note))
    engine = engine_of(workflow, store=store)
    execution_id = engine.run().execution_id
    with pytest.raises(Crash):
        engine.resume(execution_id, approved=True)
    (running,) = store.find()
    store.save(replace(running, lease_expires_at=running.created_at))

    assert engine.drive(execution_id).status == ExecutionStatus.COMPLETED

    assert ran == ["a", "b", "c", "b", "c"]


def test_process_that_is_to_stop_writes_what_is_done():
    done = []
    store = MemoryStore()
    workflow = light(a=Call(lambda: done.append(1)), b=Call(int))
    engine = engine_of(workflow, store=store, stopping=lambda: bool(done), awaken=lambda one: None)

    engine.run()

    (execution,) = store.find()
    assert execution.status == ExecutionStatus.PENDING
    assert execution.current_step == "b"


def test_bodies_of_a_fan_out_are_as_durable_as_the_whole():
    definition = define(light(each=ForEach(over=[1, 2], do=[Call(int, name="one")])))

    assert [part.durability for part in definition.parts.values()] == ["halt"]


def test_children_decide_for_themselves():
    store = Counting()
    child = flow("Child", x=Call(int), y=Call(int))
    parent = light(a=Call(int), sub=SubWorkflow("child"), b=Call(int))

    engine_of(parent, child, store=store).run()

    assert store.written.count(1) >= 2  # x and y


def test_retry_that_is_waited_for_elsewhere_is_a_rest():
    store = MemoryStore()
    failing = Call(lambda: 1 / 0, retry=Retry(attempts=2, delay=60))
    engine = engine_of(light(a=Call(int), b=failing), store=store)

    result = engine.run()

    assert result.status == ExecutionStatus.HALTED
    assert actions(store, result.execution_id)[0] == ("a", DONE)


def test_document_says_it_too():
    text = "id: light\nname: Light\ndurability: halt\nsteps:\n  - {id: a, type: start}\n"

    assert load_document(text).durability == "halt"


@pytest.mark.parametrize("value", ["never", "", None, 3])
def test_another_word_is_refused(value):
    definition = replace(define(flow(a=Assign(x=1))), durability=value)

    (problem,) = problems(definition)

    assert problem.id == "workflows.E016"
    assert f"must be 'step' or 'halt', not {value!r}" in problem.message


def test_what_is_to_be_undone_is_written_at_once():
    undone = []
    store = MemoryStore()
    workflow = light(
        charge=Call(int, compensate="refund"),
        crash=Call(crashing(times=1)),
        end=End(),
        refund=Call(lambda: undone.append("refunded")),
    )
    engine = engine_of(workflow, store=store, limits=Limits(claims=1))
    with pytest.raises(Crash):
        engine.run()
    (running,) = store.find()
    store.save(replace(running, lease_expires_at=running.created_at, claims=1))

    assert engine.drive(running.id).status == ExecutionStatus.FAILED  # poisoned

    assert undone == ["refunded"]


def crashing(times):
    left = [Crash] * times

    def work():
        if left:
            raise left.pop()

    return work


@pytest.mark.parametrize("fans_out", [False, True])
def test_child_starts_from_what_is_written(fans_out):
    seen, stored = [], []
    store = MemoryStore()

    def look(state):
        seen.append(state.input["value"])
        stored.append(store.load(state.origin.parent).ctx)

    child = type("Child", (flow(look=Call(look)),), {"id": "child"})
    given = {"value": F("a")}
    if fans_out:
        step = ForEach(over=[1], do="child", input=given)
    else:
        step = SubWorkflow("child", input=given)
    engine = engine_of(light(a=Call(lambda: "x"), sub=step), child, store=store)

    engine.run()

    assert seen == ["x"]
    assert stored == [{"a": "x"}]


def test_driver_that_lost_its_lease_goes_no_further():
    ran = []
    store = MemoryStore()

    def lose(state):
        stored = store.load(state.execution_id)
        store.save(replace(stored, fence=stored.fence + 1))
        time.sleep(0.5)  # some beats

    limits = Limits(lease=timedelta(seconds=0.4))
    workflow = light(a=Call(lose), b=Call(lambda: ran.append("b")))

    engine_of(workflow, store=store, limits=limits).run()

    assert ran == []
    assert store.entries(store.find()[0].id) == []
