"""What the first engine of this kind got wrong, each as a test named after it."""

import threading
import time

import pytest
from django.db.models import F, Q

from django_workflows.core.conditions import condition
from django_workflows.core.execution import ExecutionStatus, State
from django_workflows.core.expressions import resolve
from django_workflows.core.steps import (
    Approval,
    Assign,
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    Router,
    SubWorkflow,
    When,
)
from django_workflows.core.variables import read_only
from django_workflows.exceptions import (
    AlreadyResumed,
    ConditionError,
    NotResumable,
    StoreUnavailable,
)
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import engine_of, flow, history, run


def at_once(count, work):
    """Call ``work`` in ``count`` threads that begin together, and return what each gave."""
    ready = threading.Barrier(count)
    outcomes = []

    def body():
        ready.wait(5)
        try:
            outcomes.append(work())
        except Exception as error:  # noqa: BLE001  what was raised is what the test asks
            outcomes.append(error)

    threads = [threading.Thread(target=body) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return outcomes


# Resuming and driving ---------------------------------------------------------------------------


@pytest.mark.parametrize("ended", ["completed", "failed", "pending", "running"])
def test_resuming_what_is_not_halted(ended):
    ran = []
    engine = engine_of(flow(work=Call(lambda: ran.append(1) or 1 / (ended != "failed"))))
    execution = engine.create()
    if ended == "running":
        engine.store.claim(execution.id, "somebody else", engine.limits.lease)
    elif ended != "pending":
        engine.drive(execution.id)
    before = (engine.store.load(execution.id), engine.store.entries(execution.id), list(ran))

    with pytest.raises(NotResumable, match=f"it is {ended} and nothing waits"):
        engine.resume(execution.id, response=1)

    after = (engine.store.load(execution.id), engine.store.entries(execution.id), ran)
    assert after == before


def test_two_resumes_that_both_run():
    ran = []
    engine = engine_of(flow(ask=Halt(), work=Call(lambda state: ran.append(state.ctx["ask"]))))
    halted = engine.run()

    first, second = at_once(2, lambda: engine.resume(halted.execution_id, response=7, by="ann"))

    refused = first if isinstance(first, Exception) else second
    assert isinstance(refused, AlreadyResumed)
    assert refused.by == "ann"
    assert ran == [7]


@pytest.mark.parametrize("times", [2, 8])
def test_a_queue_that_delivers_a_start_twice(times):
    ran = []
    engine = engine_of(flow(work=Call(lambda: ran.append(1) or time.sleep(0.02)), done=End()))
    execution = engine.create()

    results = at_once(times, lambda: engine.drive(execution.id))

    assert ran == [1]
    assert [result.status for result in results if result] == [ExecutionStatus.COMPLETED]
    assert engine.drive(execution.id) is None


def test_a_halted_child_started_anew_when_its_parent_resumes():
    began = []
    child = flow(
        "Child", begin=Call(lambda: began.append(1)), ask=Halt(), done=End(result=F("ask"))
    )
    engine = engine_of(flow("Parent", sub=SubWorkflow("child")), child)

    halted = engine.run()
    result = engine.resume(halted.execution_id, response=7)

    assert result.output == 7
    assert began == [1]
    assert len(engine.store.find(parent=halted.execution_id)) == 1


def test_a_loop_restarted_at_item_0_after_a_halt():
    began = []
    workflow = flow(
        each=Loop(
            over=["a", "b", "c"],
            do=[
                Call(lambda state: began.append(state.ctx["item"]), name="begin"),
                Router(When(Q(item="b"), then="ask"), default="continue", name="which"),
                Halt(name="ask"),
            ],
        )
    )
    engine = engine_of(workflow)

    result = engine.resume(engine.run().execution_id)

    assert result.status == ExecutionStatus.COMPLETED
    assert began == ["a", "b", "c"]


def test_a_halt_in_a_parallel_branch_lost():
    workflow = flow(both=Parallel(a=Halt(name="ask"), b=Call(lambda: 1, name="work")))
    engine = engine_of(workflow)

    halted = engine.run()

    assert halted.status == ExecutionStatus.HALTED
    assert [wait.step for wait in halted.waits] == ["both/a/ask"]
    assert engine.resume(halted.execution_id, response=7).output == {"a": 7, "b": 1}


# Writing ----------------------------------------------------------------------------------------


class Failing(MemoryStore):
    """Does not answer at the write of ``broken``'s number, after a part of it was done."""

    def __init__(self, broken):
        super().__init__()
        self.broken = broken
        self.writes = 0

    def _write(self, *args):
        super()._write(*args)
        self.writes += 1
        if self.writes == self.broken:
            raise StoreUnavailable("memory", "the disk is full")


def consistent(store, execution):
    """Say whether the row tells of just those steps that have an entry."""
    done = [e.step_id for e in store.entries(execution.id) if e.action == "completed"]
    return set(store.load(execution.id).ctx) == set(done)


@pytest.mark.parametrize("broken", range(2, 6))
def test_a_state_row_and_its_history_row_in_two_writes(broken):
    workflow = flow(a=Call(lambda: 1), b=Call(lambda: 2), c=Call(lambda: 3), ask=Halt())
    store = Failing(broken)
    engine = engine_of(workflow, store=store)
    execution = engine.create()

    with pytest.raises(StoreUnavailable, match="the disk is full"):
        engine.drive(execution.id)

    assert consistent(store, execution)
    # The claim is the second write; each step's row and entry are one more.
    assert len(store.entries(execution.id)) == max(broken - 3, 0)


# Conditions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, "", [], {}, False])
def test_truthy_that_means_not_null(value):
    state = State(execution_id="7", workflow_id="w", ctx={"x": value})

    assert condition(Q(x__truthy=True)).matches(state) is False
    assert condition(Q(x__isnull=False)).matches(state) is True


@pytest.mark.parametrize(
    "test", [Q(x__gt=1), ~Q(x__gt=1), Q(x__regex="a"), lambda state: state.ctx["y"]]
)
def test_an_exception_in_a_condition_that_means_false(test):
    workflow = flow(
        begin=Assign(x=[1]), which=Router(When(test, then="done"), default="done"), done=End()
    )

    result = run(workflow)

    assert result.status == ExecutionStatus.FAILED
    assert isinstance(result.exception, ConditionError)


# Data -------------------------------------------------------------------------------------------


class Secret:
    password = "s3cret"

    def __init__(self):
        self.token = "t0ken"


@pytest.mark.parametrize(
    "reference",
    [
        "$input.__class__",
        "$input.__class__.__mro__",
        "$ctx.__init__.__globals__",
        "$now.__class__",
        "$now.year",
        "$thing.password",
        "$thing.token",
        "$list.append",
        "$history.__class__",
        F("input____class__"),
        F("thing__password"),
        F("ctx____class____mro"),
        F("now__tzinfo"),
    ],
)
@pytest.mark.parametrize("seen", [lambda state: state, read_only], ids=["engine", "author"])
def test_a_class_reached_by_a_name_from_data(reference, seen):
    state = State(
        execution_id="7", workflow_id="w", input={"a": 1}, ctx={"thing": Secret(), "list": []}
    )

    assert resolve(reference, seen(state)) is None


def test_a_name_from_data_is_not_looked_up_again():
    workflow = flow(
        it=Call(lambda text: text, input={"text": F("input__text")}),
        again=Assign(copy="$it", shown="<$it>"),
        done=End(result=[F("copy"), F("shown")]),
    )

    result = run(workflow, {"text": "$ctx.it.__class__"})

    assert result.output == ["$ctx.it.__class__", "<$ctx.it.__class__>"]


def test_a_whole_ctx_leaked_as_the_result():
    secret = Assign(password="s3cret")

    assert run(flow(secret=secret, done=End())).output is None
    assert run(flow(secret=secret)).output is None
    assert run(flow(work=Call(lambda: 7), secret=secret, done=End())).output == 7


# Timeouts ---------------------------------------------------------------------------------------


class SlowCommit(MemoryStore):
    """Takes its time to commit a transaction, and says when it has."""

    def __init__(self):
        super().__init__()
        self.committed = []

    def checkpoint(self, *args, **options):
        time.sleep(0.05)
        super().checkpoint(*args, **options)
        self.committed.append(threading.current_thread())


@pytest.mark.parametrize("atomic", [False, True])
def test_a_timeout_that_can_fire_inside_a_commit(atomic):
    store = SlowCommit()
    engine = engine_of(Call(lambda: "quick", timeout=0.04, atomic=atomic), store=store)

    result = engine.run()

    assert result.output == "quick"
    assert store.committed == [threading.current_thread()]


def test_a_timeout_never_cuts_the_commit_of_the_step_itself():
    committed, go_on = threading.Event(), threading.Event()

    def work():
        go_on.wait(5)  # the step's own transaction is slow to commit
        committed.set()
        return "late"

    engine = engine_of(flow(it=Call(work, timeout=0.02, on_error="told"), never=End(), told=End()))

    result = engine.run()
    before = engine.store.load(result.execution_id)
    go_on.set()

    assert committed.wait(5)
    assert result.status == ExecutionStatus.COMPLETED
    assert engine.store.load(result.execution_id) == before
    assert history(engine, result.execution_id, "completed") == ["told"]


# Approvals --------------------------------------------------------------------------------------


def test_an_approval_that_is_taken_by_anything_but_a_decision():
    engine = engine_of(flow(ask=Approval("?")))
    halted = engine.run()

    with pytest.raises(NotResumable, match="answer approved=True or False"):
        engine.resume(halted.execution_id, response="yes")

    assert engine.result(halted.execution_id).status == ExecutionStatus.HALTED
