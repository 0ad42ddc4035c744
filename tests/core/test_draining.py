"""A driver that is told to stop finishes its step, gives its lease back, and loses nothing."""

from collections import Counter
from threading import Barrier

import pytest

from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.steps import (
    Approval,
    Assign,
    Call,
    End,
    ForEach,
    Halt,
    Loop,
    Parallel,
    SubWorkflow,
)
from tests.core.flows import define, engine_of, flow, history


class Order:
    """The order to stop: given once a step, of which the path is known, has begun."""

    def __init__(self, step=None):
        self.step = step
        self.is_given = step is None

    def __call__(self):
        return self.is_given

    def emit(self, event):
        self.is_given |= event.name == "step.started" and event.step == self.step


@pytest.fixture
def effects():
    return Counter()


@pytest.fixture
def work(effects):
    def count(state):
        effects[state.path] += 1
        return state.path

    return count


@pytest.fixture
def drained(store):
    """Drive a new execution by an engine that is told to stop; return the engine and the id."""

    def drive(workflow, *others, order, **options):
        engine = engine_of(
            workflow, *others, store=store, stopping=order, emit=order.emit, **options
        )
        execution = engine.create()
        engine.drive(execution.id)
        return execution.id

    return drive


def assert_given_back(store, execution_id):
    execution = store.load(execution_id)
    assert execution.status == ExecutionStatus.PENDING
    assert (execution.lease_owner, execution.lease_expires_at) == (None, None)
    assert execution.claims == 0


def finish(store, execution_id, workflow, *others):
    """Drive on by an engine that nobody stops."""
    engine = engine_of(workflow, *others, store=store)
    return engine.sibling(store.load(execution_id).workflow_id).drive(execution_id)


def test_current_step_is_finished_and_the_next_is_left_to_another(store, work, effects, drained):
    workflow = flow(first=Call(work), second=Call(work), done=End(result="$second"))

    execution_id = drained(workflow, order=Order("first"))

    assert_given_back(store, execution_id)
    assert effects == {"first": 1}
    assert finish(store, execution_id, workflow).output == "second"
    assert effects == {"first": 1, "second": 1}


def test_whoever_may_drive_on_is_rung_for(store, work, drained):
    rung = []

    execution_id = drained(flow(it=Call(work)), order=Order(), awaken=rung.append)

    assert [execution.id for execution in rung] == [execution_id]


def test_run_of_a_process_that_is_to_stop_returns(store, work, effects):
    engine = engine_of(Call(work), store=store, stopping=Order())

    result = engine.run()

    assert result.status == ExecutionStatus.PENDING
    assert_given_back(store, result.execution_id)
    assert effects == {}


def test_claims_that_came_to_no_step_are_not_counted(store, work, effects):
    stopped = engine_of(Call(work), store=store, stopping=Order())
    execution = stopped.create()
    for _ in range(stopped.limits.claims + 1):
        stopped.drive(execution.id)
        assert_given_back(store, execution.id)

    result = finish(store, execution.id, Call(work))

    assert result.status == ExecutionStatus.COMPLETED
    assert effects == {"it": 1}


def test_claims_of_drivers_that_died_are_still_counted(store, work, recovered):
    engine = engine_of(Call(work), store=store)
    execution = engine.create()
    store.claim(execution.id, "died", engine.limits.lease)
    engine.stopping = Order()

    recovered(engine, execution.id)

    assert store.load(execution.id).claims == 1


def test_entries_of_pure_steps_are_written_with_the_lease(store, work, drained):
    workflow = flow(set=Assign(a=1), it=Call(work), again=Assign(b=2), last=Call(work))

    execution_id = drained(workflow, order=Order("again"))

    assert_given_back(store, execution_id)
    assert store.load(execution_id).ctx == {"a": 1, "it": "it", "b": 2}
    assert [entry.step_id for entry in store.entries(execution_id)] == ["set", "it", "again"]


def test_last_step_completes_the_execution(store, work, drained):
    execution_id = drained(flow(first=Call(work), last=Call(work)), order=Order("last"))

    assert store.load(execution_id).status == ExecutionStatus.COMPLETED


def test_step_that_halts_halts_the_execution(store, drained):
    execution_id = drained(flow(ask=Halt("?"), last=Assign(a=1)), order=Order("ask"))

    execution = store.load(execution_id)
    assert execution.status == ExecutionStatus.HALTED
    assert execution.lease_owner is None


def test_step_that_fails_fails_the_execution_unless_there_is_something_to_undo(store, drained):
    def fail():
        raise ValueError("broken")

    execution_id = drained(Call(fail), order=Order("it"))

    assert store.load(execution_id).status == ExecutionStatus.FAILED


def test_answer_is_not_lost_with_the_driver_that_was_to_take_it(store, drained):
    workflow = flow(ask=Approval("?"), done=End(result="$ask.approved"))
    asked = engine_of(workflow, store=store).run()
    stopped = engine_of(workflow, store=store, stopping=Order(), awaken=lambda _: None)

    stopped.resume(asked.execution_id, approved=True)

    assert_given_back(store, asked.execution_id)
    assert finish(store, asked.execution_id, workflow).output is True


def test_loop_goes_on_in_the_round_that_it_had_reached(store, work, effects, drained):
    body = [Call(work, name="one"), Call(work, name="two")]
    workflow = flow(each=Loop(over=[1, 2, 3], do=body), done=End(result="$each"))

    execution_id = drained(workflow, order=Order("each[1]/one"))

    assert_given_back(store, execution_id)
    assert effects == {"each[0]/one": 1, "each[0]/two": 1, "each[1]/one": 1}
    assert finish(store, execution_id, workflow).output == [f"each[{n}]/two" for n in range(3)]
    assert set(effects.values()) == {1}


def parallel(left, right):
    return flow(both=Parallel({"left": left, "right": right}), done=End(result="$both"))


def test_branches_in_threads_finish_their_steps_and_begin_no_other(store, work, effects, drained):
    order, both = Order("never"), Barrier(2, timeout=10)

    def together(state):
        both.wait()
        order.is_given = True
        both.wait()
        return work(state)

    workflow = parallel(
        [Call(together, name="l1"), Call(work, name="l2")],
        [Call(together, name="r1"), Call(work, name="r2")],
    )

    execution_id = drained(workflow, order=order, threads=Threads(branches=2))

    assert_given_back(store, execution_id)
    assert effects == {"both/left/l1": 1, "both/right/r1": 1}
    result = finish(store, execution_id, workflow)
    assert result.output == {"left": "both/left/l2", "right": "both/right/r2"}
    assert set(effects.values()) == {1}


def test_branch_that_had_its_turn_is_not_run_again(store, work, effects, drained):
    workflow = parallel(Call(work, name="l"), Call(work, name="r"))

    execution_id = drained(workflow, order=Order("both/left/l"), threads=Threads(branches=0))

    assert_given_back(store, execution_id)
    assert effects == {"both/left/l": 1}
    assert finish(store, execution_id, workflow).status == ExecutionStatus.COMPLETED
    assert effects == {"both/left/l": 1, "both/right/r": 1}


def test_branch_that_failed_has_failed_for_whoever_drives_on(store, work, effects, drained):
    def fail(state):
        work(state)
        raise ValueError("broken")

    workflow = parallel(Call(fail, name="l"), Call(work, name="r"))

    execution_id = drained(workflow, order=Order("both/left/l"), threads=Threads(branches=0))
    result = finish(store, execution_id, workflow)

    assert result.error == "ParallelError: Parallel 'both' failed in 1: left: ValueError: broken"
    assert effects == {"both/left/l": 1, "both/right/r": 1}


def test_branch_that_halts_meanwhile_keeps_its_wait(store, work, drained):
    workflow = parallel(Halt("?", name="ask"), [Call(work, name="r1"), Call(work, name="r2")])

    execution_id = drained(workflow, order=Order("both/right/r1"), threads=Threads(branches=0))

    assert_given_back(store, execution_id)
    assert [wait.step for wait in store.waits(execution_id)] == ["both/left/ask"]
    assert finish(store, execution_id, workflow).status == ExecutionStatus.HALTED
    result = engine_of(workflow, store=store).resume(execution_id, "yes")
    assert result.output == {"left": "yes", "right": "both/right/r2"}


def family(work):
    child = flow("Child", one=Call(work), two=Call(work))
    parent = flow("Parent", kid=SubWorkflow("child"), last=Call(work), done=End(result="$kid"))
    return parent, child


def test_child_is_given_back_and_its_parent_waits_for_it(store, work, effects, drained):
    parent, child = family(work)

    parent_id = drained(parent, child, order=Order("one"))

    (kid,) = store.find(parent=parent_id)
    assert_given_back(store, kid.id)
    assert store.load(parent_id).status == ExecutionStatus.HALTED
    finish(store, kid.id, child, parent)
    assert store.load(parent_id).result == "two"
    assert effects == {"one": 1, "two": 1, "last": 1}


def test_child_that_was_not_begun_is_left_to_another(store, work, effects):
    parent, child = family(work)
    order = Order("kid")
    engine = engine_of(parent, child, store=store, stopping=order, emit=order.emit)

    parent_id = engine.run().execution_id

    (kid,) = store.find(parent=parent_id)
    assert_given_back(store, kid.id)
    finish(store, kid.id, child, parent)
    assert store.load(parent_id).status == ExecutionStatus.COMPLETED
    assert effects == {"one": 1, "two": 1, "last": 1}


def test_items_that_were_not_begun_are_left_to_others(store, work, effects):
    workflow = flow(each=ForEach(["a", "b"], do=Call(work, name="one")), done=End(result="$each"))
    order = Order("one")
    engine = engine_of(workflow, store=store, stopping=order, emit=order.emit)

    parent_id = engine.run().execution_id

    (left,) = store.execution_ids(status=ExecutionStatus.PENDING)
    assert_given_back(store, left)
    finish(store, left, workflow)
    finish(store, parent_id, workflow)
    assert store.load(parent_id).result == ["one", "one"]
    assert effects == {"one": 2}


def undone_flow(work):
    def fail():
        raise ValueError("broken")

    return flow(
        book=Call(work, compensate="unbook"),
        pay=Call(work, compensate="refund"),
        bad=Call(fail),
        end=End(),
        unbook=Call(work),
        refund=Call(work),
    )


@pytest.mark.parametrize(
    ("step", "undone"),
    [
        ("bad", []),  # the failure is written, and nothing is undone yet
        ("refund:pay", ["refund:pay"]),
    ],
)
def test_compensation_goes_on_where_it_was_left(store, work, effects, step, undone):
    workflow, order = undone_flow(work), Order(step)

    def emit(event):
        order.emit(event)
        order.is_given |= event.name == "step.compensated" and event.step == step

    engine = engine_of(workflow, store=store, stopping=order, emit=emit)
    execution = engine.create()
    engine.drive(execution.id)

    assert_given_back(store, execution.id)
    assert history(engine, execution.id, EntryAction.COMPENSATED) == undone
    result = finish(store, execution.id, workflow)
    assert (result.status, result.error) == (ExecutionStatus.FAILED, "ValueError: broken")
    assert effects == {"book": 1, "pay": 1, "refund:pay": 1, "unbook:book": 1}


def test_driver_that_was_overtaken_gives_nothing_back(store, work, travel):
    workflow, order = flow(first=Call(work), second=Call(work)), Order("first")
    engine = engine_of(workflow, store=store, stopping=order)
    other = engine_of(workflow, store=store)

    def emit(event):
        if event.name == "step.completed" and event.step == "first":
            travel(engine.limits.lease.total_seconds() + 1)
            assert other.drive(event.execution_id).status == ExecutionStatus.COMPLETED
        order.emit(event)

    engine.emit = emit
    result = engine.run()

    assert result.status == ExecutionStatus.COMPLETED
    assert store.load(result.execution_id).status == ExecutionStatus.COMPLETED
    assert define(workflow).graph.first == "first"
