"""What is written while branches run at once."""

import threading

import pytest

from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import (
    Assign,
    Call,
    Halt,
    Loop,
    Parallel,
)
from django_workflows.core.waits import Answer, WaitStatus
from tests.core.flows import Crash, FailingCommit, crashed, engine_of, flow, history

in_threads_and_in_turn = pytest.mark.parametrize("threads", [Threads(8), Threads(0)], ids=str)


@in_threads_and_in_turn
def test_finished_branch_is_not_run_again_after_a_crash(recovered, threads):
    done = []
    crash = [Crash()]
    a_is_done = threading.Event()

    def first():
        done.append("a")
        return "a"

    def second():
        a_is_done.wait(5)
        done.append("b")
        if crash:
            raise crash.pop()
        return "b"

    engine = engine_of(
        flow(both=Parallel(a=Call(first, name="x"), b=Call(second, name="y"))),
        threads=threads,
        emit=lambda event: a_is_done.set() if event.name == "step.completed" else None,
    )

    execution_id = crashed(engine)
    result = recovered(engine, execution_id)

    assert done == ["a", "b", "b"]
    assert result.output == {"a": "a", "b": "b"}


def test_branch_goes_on_at_the_step_it_had_reached(recovered):
    done = []
    crash = [Crash()]

    def second(state):
        if crash:
            raise crash.pop()
        return [state.ctx["x"], state.ctx["n"]]

    workflow = flow(
        both=Parallel(
            a=[
                Call(lambda: done.append("x") or "kept", name="x"),
                Assign(n=2, name="set"),
                Call(second, name="y"),
            ],
            b=Call(lambda: done.append("b"), name="z"),
        )
    )
    engine = engine_of(workflow, threads=Threads(0))

    execution_id = crashed(engine)
    result = recovered(engine, execution_id)

    assert done == ["x", "b"]
    assert result.output == {"a": ["kept", 2], "b": None}


def test_branches_that_write_at_once_lose_nothing(store):
    names = [f"branch_{n}" for n in range(8)]
    workflow = flow(
        many=Parallel(
            {
                name: [
                    Call(lambda: 1, name="one", output=None),
                    Loop(over=[1, 2, 3], do=Call(lambda state: state.ctx["item"]), name=name),
                    Call(lambda: 2, name="two", output=None, atomic=True),
                ]
                for name in names
            }
        )
    )
    engine = engine_of(workflow, store=store)

    result = engine.run()

    assert result.output == dict.fromkeys(names, 2)
    assert len(history(engine, result.execution_id)) == 8 * 6 + 1
    assert store.load(result.execution_id).ctx["branch_3"] == [1, 2, 3]


class Watching(Retry):
    """Calls ``look`` between the end of an attempt and what the engine writes of it."""

    def __init__(self, look):
        super().__init__(attempts=2, delay=0)
        object.__setattr__(self, "look", look)

    def pause(self, attempt):
        self.look()
        return 0


def test_step_that_was_rolled_back_is_not_written_as_done_by_another_branch():
    rolled_back, written = threading.Event(), threading.Event()
    ran, seen = [], []

    def wait_for_the_other():
        rolled_back.set()
        written.wait(5)

    def look(state):
        seen.append(engine.store.load(state.execution_id).frames.frame.branches["a"].body)
        written.set()

    workflow = flow(
        both=Parallel(
            a=Call(
                lambda: ran.append(1), name="x", atomic=True, retry=Watching(wait_for_the_other)
            ),
            b=[Call(lambda: rolled_back.wait(5), name="y"), Call(look, name="z")],
        )
    )
    engine = engine_of(workflow, store=FailingCommit())

    result = engine.run()

    assert result.status == ExecutionStatus.COMPLETED
    assert ran == [1, 1]
    assert [(body.at, body.end) for body in seen] == [("x", None)]


def test_answer_is_not_written_as_taken_before_what_came_of_it():
    taken, written = threading.Event(), threading.Event()
    seen = []

    def emit(event):
        if event.name == "step.started" and event.step == "both/a/ask" and started:
            taken.set()
            written.wait(5)

    def look(state):
        (wait,) = (w for w in engine.store.waits(state.execution_id) if w.step == "both/a/ask")
        seen.append(wait.status)
        written.set()

    workflow = flow(
        both=Parallel(
            a=Halt(name="ask"),
            b=[Halt(name="go"), Call(lambda: taken.wait(5), name="y"), Call(look, name="z")],
        )
    )
    started = []
    engine = engine_of(workflow, emit=emit)
    halted = engine.run()
    started.append(True)

    for step in ("both/a/ask", "both/b/go"):
        engine.store.settle(halted.execution_id, step, Answer(response=7))
    result = engine.drive(halted.execution_id)

    assert result.output == {"a": 7, "b": None}
    assert seen == [WaitStatus.SETTLED]
