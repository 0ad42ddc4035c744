"""When a parallel is done, and when it fails."""

import threading

import pytest
from django.db.models import F

from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import EntryAction
from django_workflows.core.steps import (
    Assign,
    Call,
    End,
    Halt,
    Parallel,
    goto,
)
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import ParallelError
from tests.core.flows import engine_of, flow, history, run

CTX = End(result=F("ctx"))


in_threads_and_in_turn = pytest.mark.parametrize("threads", [Threads(8), Threads(0)], ids=str)


def fail():
    raise ValueError("boom")


def worse():
    raise KeyError("bang")


@in_threads_and_in_turn
def test_every_error_is_reported_and_the_other_branches_still_run(threads):
    done = []
    engine = engine_of(
        flow(
            both=Parallel(
                a=Call(fail, name="x"),
                b=Call(lambda: done.append(1), name="y"),
                c=Call(worse, name="z"),
            )
        ),
        threads=threads,
    )

    result = engine.run()

    assert isinstance(result.exception, ParallelError)
    assert result.exception.errors == {"a": "ValueError: boom", "c": "KeyError: 'bang'"}
    assert result.error == (
        "ParallelError: Parallel 'both' failed in 2: a: ValueError: boom; c: KeyError: 'bang'"
    )
    assert isinstance(result.exception.__cause__, (ValueError, KeyError))
    assert done == [1]
    assert set(history(engine, result.execution_id, EntryAction.FAILED)) == {
        "both/a/x",
        "both/c/z",
        "both",
    }


def test_any_is_the_first_that_is_done():
    ran = []
    workflow = flow(
        race=Parallel(
            wait="any",
            a=Call(fail, name="x"),
            b=Call(lambda: "b", name="y"),
            c=Call(lambda: ran.append(1), name="z"),
        )
    )

    assert run(workflow, threads=Threads(0)).output == {"b": "b"}
    assert ran == []


def test_any_does_not_begin_another_step_of_the_slower_branches():
    first_is_done = threading.Event()
    ran = []
    workflow = flow(
        race=Parallel(
            wait="any",
            quick=[Call(lambda: "q", name="x")],
            slow=[
                Call(lambda: first_is_done.wait(5) and None, name="y"),
                Call(lambda: ran.append(1), name="z"),
            ],
        ),
        done=CTX,
    )

    def emit(event):
        if event.step == "race/quick/x" and event.name == "step.completed":
            threading.Timer(0.05, first_is_done.set).start()

    result = run(workflow, emit=emit)

    assert result.output == {"x": "q", "race": {"quick": "q"}}
    assert ran == []


@pytest.mark.parametrize(
    ("wait", "output"),
    [(2, {"a": 1, "c": 3}), (9, None), ("all", None), ("any", {"a": 1})],
)
def test_so_many_must_be_done(wait, output):
    workflow = flow(
        some=Parallel(
            wait=wait,
            a=Call(lambda: 1, name="x"),
            b=Call(fail, name="y"),
            c=Call(lambda: 3, name="z"),
        )
    )

    result = run(workflow, threads=Threads(0))

    assert result.output == output
    if output is None:
        assert "failed in 1: b: ValueError: boom" in result.error


def test_too_few_can_be_done():
    workflow = flow(
        some=Parallel(
            wait=2, a=Call(fail, name="x"), b=Call(worse, name="y"), c=Call(lambda: 1, name="z")
        )
    )

    assert "Parallel 'some' (2 needed) failed in 2" in run(workflow).error


def test_failed_parallel_goes_to_on_error():
    workflow = flow(
        before=Assign(n=1),
        both=Parallel(
            a=Call(fail, name="x"), b=Call(lambda: 2, output="n"), c=Halt(), on_error="told"
        ),
        never=End(),
        told=End(result=[F("n"), F("_last_error__class"), F("_last_error__step")]),
    )
    engine = engine_of(workflow, threads=Threads(0))

    result = engine.run()

    assert result.output == [1, "ParallelError", "both"]
    assert {wait.status for wait in engine.store.waits(result.execution_id)} == {
        WaitStatus.WITHDRAWN
    }


def test_branch_may_handle_its_own_error():
    workflow = flow(
        both=Parallel(
            a=[
                Call(fail, name="x", on_error="told"),
                Call(lambda state: state.ctx["_last_error"]["message"], name="told"),
                Call(lambda state: "_last_error" in state.ctx, name="gone"),
            ],
            b=Call(lambda state: "_last_error" in state.ctx, name="other"),
        ),
        done=CTX,
    )

    output = run(workflow).output

    assert (output["told"], output["gone"], output["other"]) == ("boom", False, False)
    assert "_last_error" not in output


def test_step_of_a_branch_cannot_go_to_another_branch():
    workflow = flow(both=Parallel(a=Call(lambda: goto("y"), name="x"), b=Call(lambda: 1, name="y")))

    assert "There is no step 'y' to go to here; there are: x." in run(workflow).error
