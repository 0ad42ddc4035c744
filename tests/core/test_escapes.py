"""What ends a process or a task ends a step's attempt only: its own policy says what then."""

import asyncio
import os
import signal
import sys
import threading

import pytest

from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.steps import Call, Loop, Parallel, SubWorkflow
from tests.core.flows import Crash as Death
from tests.core.flows import crashed, engine_of, flow, history, run


def leave():
    sys.exit(2)


async def leave_later():
    await asyncio.sleep(0)
    sys.exit(2)


def cancelled():
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("work", "error"),
    [
        (leave, "StepError: Step 'work' raised SystemExit: 2"),
        (leave_later, "StepError: Step 'work' raised SystemExit: 2"),
        (cancelled, "StepError: Step 'work' raised CancelledError"),
    ],
)
def test_escape_is_a_failure_of_its_step(work, error):
    result = run(flow(work=Call(work)))

    assert result.status == ExecutionStatus.FAILED
    assert result.error == error
    assert type(result.exception.__cause__).__name__ in error


def test_exit_is_retried_and_then_handled_as_any_failure():
    calls = []

    def work():
        calls.append(1)
        leave()

    engine = engine_of(
        flow(
            work=Call(work, retry=Retry(attempts=2, delay=0), on_error="rescue"),
            rescue=Call(lambda state: state.ctx["_last_error"]["message"]),
        )
    )

    result = engine.run()

    assert result.status == ExecutionStatus.COMPLETED
    assert result.output == "Step 'work' raised SystemExit: 2"
    assert len(calls) == 2


@pytest.mark.parametrize("options", [{"timeout": 30}, {"atomic": True}], ids=["timeout", "atomic"])
def test_exit_under_a_timeout_or_in_a_transaction_is_a_failure(options):
    result = run(flow(work=Call(leave, **options)))

    assert result.error == "StepError: Step 'work' raised SystemExit: 2"


@pytest.mark.parametrize("threads", [Threads(), Threads(branches=0)], ids=["at once", "in turn"])
def test_exit_in_a_branch_is_the_failure_of_that_branch(threads):
    done = []
    both = Parallel(bad=[Call(leave, name="bad")], good=[Call(lambda: done.append(1), name="good")])

    result = run(flow(both=both), threads=threads)

    assert result.status == ExecutionStatus.FAILED
    assert "Step 'bad' raised SystemExit: 2" in result.error
    assert done == [1]


def test_exit_inside_a_loop_names_the_step_that_raised_it():
    result = run(flow(each=Loop(over=[1], do=[Call(leave, name="work")])))

    assert "'work' raised SystemExit: 2" in result.error
    assert "'each' raised" not in result.error


def test_exit_in_a_child_is_the_failure_of_the_child():
    child = flow("Child", work=Call(leave))

    result = run(flow(sub=SubWorkflow("child")), None, child)

    assert result.status == ExecutionStatus.FAILED
    assert "SystemExit: 2" in result.error


def test_exit_in_a_compensation_keeps_none_of_the_others_from_being_run():
    undone = []

    def fail():
        raise ValueError("broken")

    engine = engine_of(
        flow(
            first=Call(lambda: 1, compensate="undo"),
            second=Call(lambda: 2, compensate="quit"),
            third=Call(fail, next="third"),
            undo=Call(lambda: undone.append(1)),
            quit=Call(leave),
        )
    )

    result = engine.run()

    assert result.status == ExecutionStatus.FAILED
    assert "'second' could not be undone: StepError: Step 'quit' raised SystemExit" in result.error
    assert undone == [1]
    assert history(engine, result.execution_id, EntryAction.COMPENSATED) == ["undo:first"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, Death])
def test_what_is_meant_for_the_process_passes(error):
    def work():
        raise error

    engine = engine_of(flow(work=Call(work)))

    with pytest.raises(error):
        engine.run()

    (left,) = engine.store.find()
    assert left.status == ExecutionStatus.RUNNING


@pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(),
    reason="signals are the main thread's",
)
@pytest.mark.parametrize(
    "handler",
    [lambda number, frame: sys.exit(0), lambda *_: sys.exit(0)],
    ids=["two arguments", "any arguments"],
)
def test_signal_that_ends_the_process_is_no_failure_of_the_step_it_comes_in(handler):
    def work():
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(1000):  # the handler runs between two instructions
            pass

    engine = engine_of(flow(work=Call(work)))
    before = signal.signal(signal.SIGUSR1, handler)

    try:
        with pytest.raises(SystemExit):
            engine.run()
    finally:
        signal.signal(signal.SIGUSR1, before)

    (left,) = engine.store.find()
    assert left.status == ExecutionStatus.RUNNING


def test_step_that_was_cut_by_a_crash_goes_on_after_an_exit_was_contained(recovered):
    outcomes = [SystemExit(1), Death(), None]

    def work():
        if (error := outcomes.pop(0)) is not None:
            raise error

    engine = engine_of(flow(work=Call(work, retry=Retry(attempts=2, delay=0))))
    execution_id = crashed(engine)

    result = recovered(engine, execution_id)

    assert result.status == ExecutionStatus.COMPLETED
