"""The ways through a loop, and loops in loops."""

import pytest
from django.db.models import F, Q

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import Assign, Call, End, Halt, Loop, Router, When, goto
from django_workflows.core.waits import Cause
from tests.core.flows import Crash, answered, crashed, engine_of, flow, history, run

CTX = End(result=F("ctx"))


def double(state):
    return state.ctx["item"] * 2


# Break, continue, goto --------------------------------------------------------------------------


def body(state):
    """Break at 3, go on to the next round at 2, else go on to the next step."""
    item = state.ctx["item"]
    return {2: goto("continue", output="two"), 3: goto("break", output="three")}.get(item, item)


def test_break_and_continue():
    workflow = flow(
        each=Loop(over=[1, 2, 3, 4], do=[Call(body, name="check"), Call(double, name="twice")])
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert result.output == [2, "two", "three"]
    assert history(engine, result.execution_id) == [
        "each[0]/check",
        "each[0]/twice",
        "each[1]/check",
        "each[2]/check",
        "each",
    ]


def test_router_of_the_body_may_break():
    workflow = flow(
        each=Loop(
            over=[1, 2, 3],
            do=[
                Router(When(Q(item=2), then="break"), default="twice", name="which"),
                Call(double, name="twice"),
            ],
        )
    )

    assert run(workflow).output == [2, None]


def test_loop_ends_once_its_break_key_is_true():
    workflow = flow(
        each=Loop(
            over=[1, 2, 3],
            break_key="stop",
            do=Call(lambda state: state.ctx["item"] == 2, output="stop", name="check"),
        ),
        done=CTX,
    )

    assert run(workflow).output == {"each": [False, True]}


def test_step_of_the_body_cannot_go_to_a_step_outside():
    workflow = flow(each=Loop(over=[1], do=Call(lambda: goto("done"), name="x")), done=End())

    assert run(workflow).error == (
        "StepError: There is no step 'done' to go to here; there are: x."
    )


def test_cycle_inside_a_body_counts_its_visits_by_round():
    keys = []

    def again(state):
        keys.append(state.path)
        return goto("again" if len(keys) % 2 else "end")

    workflow = flow(
        each=Loop(over=[1, 2], do=[Call(again, next="again"), Assign(x=1, name="end")]),
    )

    run(workflow)

    assert keys == ["each[0]/again", "each[0]/again#2", "each[1]/again", "each[1]/again#2"]


# Nested loops -----------------------------------------------------------------------------------


def test_loop_in_a_loop():
    workflow = flow(
        rows=Loop(
            over=[[1, 2], [3]],
            as_="row",
            index_as="r",
            do=Loop(over=F("row"), do=Call(cell, name="cell"), name="cells"),
        )
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert result.output == [["0.0=1", "0.1=2"], ["1.0=3"]]
    assert "rows[1]/cells[0]/cell" in history(engine, result.execution_id)


def cell(state):
    return f"{state.ctx['r']}.{state.ctx['index']}={state.ctx['item']}"


def test_loop_in_a_loop_with_the_same_names_gives_them_back():
    workflow = flow(
        begin=Assign(item="mine"),
        rows=Loop(
            over=["a", "b"],
            do=[
                Loop(over=[1, 2], do=Call(double, name="twice"), name="inner"),
                Call(lambda state: (state.ctx["item"], state.ctx["index"]), name="outer"),
            ],
        ),
        done=End(result=[F("rows"), F("item"), F("index")]),
    )

    assert run(workflow).output == [[("a", 0), ("b", 1)], "mine", None]


def test_names_are_given_back_after_a_halt_too():
    workflow = flow(
        rows=Loop(
            over=["a"],
            do=[
                Loop(while_=Q(ask__isnull=True), do=Halt(name="ask"), name="inner"),
                Loop(over=[1], do=Halt(name="again"), name="other"),
                Call(lambda state: state.ctx["item"], name="outer"),
            ],
        ),
    )
    engine = engine_of(workflow)

    halted = engine.run()
    engine.resume(halted.execution_id, response=1)
    result = engine.resume(halted.execution_id, response=2)

    assert result.output == ["a"]


def test_halt_in_a_loop_in_a_loop():
    workflow = flow(
        rows=Loop(
            over=[1, 2],
            as_="row",
            do=Loop(over=[1, 2], as_="cell", do=Halt("$row.$cell", name="ask"), name="cells"),
        )
    )
    engine = engine_of(workflow)

    result = engine.run()
    asked = []
    while result.status == ExecutionStatus.HALTED:
        asked.append(result.waits[0].step)
        result = engine.resume(result.execution_id, response=len(asked))

    assert asked == [f"rows[{r}]/cells[{c}]/ask" for r in (0, 1) for c in (0, 1)]
    assert result.output == [[1, 2], [3, 4]]


def test_long_retry_in_a_round_is_resumed_in_that_round():
    def work(state):
        if state.ctx["item"] == 2 and state.attempt == 1:
            raise ValueError("not yet")
        return state.attempt

    engine = engine_of(Loop(over=[1, 2], do=Call(work, name="w", retry=Retry(delay=60))))

    halted = engine.run()
    result = answered(engine, halted.execution_id, Cause.RETRY)

    assert halted.waits[0].step == "it[1]/w"
    assert result.output == [1, 2]


@pytest.mark.parametrize("crashes", [False, True])
def test_on_error_of_a_loop_sees_what_its_rounds_have_set(recovered, crashes):
    crash = [Crash()] if crashes else []

    def work(state):
        if state.ctx["item"] == "b" and crash:
            raise crash.pop()
        if state.ctx["item"] == "c":
            raise ValueError("boom")
        return state.ctx["item"]

    workflow = flow(
        begin=Assign(index="mine"),
        each=Loop(over=["a", "b", "c"], do=Call(work, name="done"), on_error="told"),
        never=End(),
        told=End(result=F("ctx")),
    )
    engine = engine_of(workflow)

    result = recovered(engine, crashed(engine)) if crashes else engine.run()

    assert result.output.pop("_last_error")["step"] == "each[2]/done"
    assert result.output == {"index": "mine", "done": "b"}


def test_on_error_of_a_loop_that_did_not_begin_keeps_the_names_around_it():
    workflow = flow(
        rows=Loop(
            over=["a"],
            do=[
                Loop(over="$missing", do=Call(double), name="inner", on_error="told"),
                Call(lambda state: state.ctx["item"], name="told"),
            ],
        )
    )

    assert run(workflow).output == ["a"]
