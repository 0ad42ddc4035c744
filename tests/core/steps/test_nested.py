"""Loops."""

import pytest
from django.db.models import F, Q

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import Assign, Call, End, Halt, Loop, Router, When, goto, halt
from django_workflows.core.waits import Cause, InboxEvent
from django_workflows.exceptions import LoopExhausted
from tests.core.flows import Crash, answered, crashed, engine_of, flow, history, run

CTX = End(result=F("ctx"))


def double(state):
    return state.ctx["item"] * 2


def problems(step):
    return list(step.compiled("it").problems())


# Over a list ------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", [[1, 2, 3], (1, 2, 3), F("input__list"), "$input.list"])
def test_loop_over_a_list(over):
    workflow = flow(each=Loop(over=over, do=Call(double, name="twice")), done=CTX)

    result = run(workflow, {"list": [1, 2, 3]})

    assert result.output == {"each": [2, 4, 6], "twice": 6}


def test_loop_over_nothing():
    workflow = flow(each=Loop(over=[], do=Call(double)), done=CTX)

    assert run(workflow).output == {"each": []}


def test_loop_gives_item_and_index_their_names():
    workflow = flow(
        each=Loop(
            over=["a", "b"],
            as_="sku",
            index_as="n",
            do=Call(lambda state: f"{state.ctx['n']}{state.ctx['sku']}", output=None),
        ),
        done=CTX,
    )

    assert run(workflow).output == {"each": ["0a", "1b"]}


def test_result_of_a_round_is_its_last_output():
    workflow = flow(
        each=Loop(
            over=[1, 2],
            do=[Call(double, name="twice"), Assign(seen=F("twice"))],
            output="results",
        ),
        done=End(result=[F("results"), F("seen")]),
    )

    assert run(workflow).output == [[2, 4], 4]


def test_round_without_an_output_has_none_though_the_round_before_had_one():
    workflow = flow(
        each=Loop(
            over=[True, False],
            do=[
                Router(When(Q(item=True), then="work"), default="mark", name="which"),
                Call(lambda: 7, name="work", next="mark"),
                Assign(name="mark", marked=True),
            ],
        ),
    )

    assert run(workflow).output == [7, None]


def test_loop_goes_over_the_list_as_it_was_at_its_beginning():
    workflow = flow(
        begin=Assign(queue=[1, 2]),
        each=Loop(over=F("queue"), do=Assign(queue=[], name="clear")),
        done=End(result=F("queue")),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert result.output == []
    assert history(engine, result.execution_id) == [
        "begin",
        "each[0]/clear",
        "each[1]/clear",
        "each",
        "done",
    ]


@pytest.mark.parametrize("over", [5, "text", {"a": 1}, None, "$missing"])
def test_loop_over_what_is_no_list_fails(over):
    workflow = flow(each=Loop(over="$input.over", do=Call(double)))

    result = run(workflow, {"over": over})

    assert result.error.startswith("StepError: Loop 'each' needs a list to go over, not ")


def test_loop_over_more_than_its_max_fails_before_it_begins():
    done = []
    workflow = flow(each=Loop(over=[1, 2, 3], max=2, do=Call(lambda: done.append(1))))

    result = run(workflow)

    assert isinstance(result.exception, LoopExhausted)
    assert result.error == "LoopExhausted: Loop 'each' has 3 items and its max is 2."
    assert done == []


def test_loop_over_more_than_its_max_goes_to_on_exhausted():
    workflow = flow(
        each=Loop(over=[1, 2, 3], max=2, do=Call(double), on_exhausted="many"),
        done=End(),
        many=End(result=["many", F("each")]),
    )

    assert run(workflow).output == ["many", []]


def test_failing_round_fails_the_loop(store):
    def check(state):
        return 1 / (state.ctx["item"] - 1)

    engine = engine_of(flow(each=Loop(over=[0, 1, 2], do=Call(check))), store=store)

    result = engine.run()

    assert result.error == "ZeroDivisionError: division by zero"
    assert history(engine, result.execution_id, "failed") == ["each[1]/check", "each"]


# While ------------------------------------------------------------------------------------------


def test_while_loop_counts_its_iterations_from_one():
    workflow = flow(
        begin=Assign(left=3),
        each=Loop(
            while_=Q(left__gt=0),
            do=[
                Call(lambda state: state.ctx["iteration"], name="n"),
                Assign(left=F("left") - 1, name="less"),
            ],
        ),
        done=CTX,
    )

    assert run(workflow).output == {"left": 0, "n": 3, "each": [1, 2, 3]}


def test_while_loop_may_ask_a_callable():
    def more(state):
        return [*state.ctx.get("seen", []), 1]

    workflow = flow(
        each=Loop(
            while_=lambda state: len(state.ctx.get("seen", [])) < 2,
            do=Call(more, output="seen"),
        )
    )

    assert run(workflow).output == [[1], [1, 1]]


def test_while_loop_that_never_begins():
    workflow = flow(each=Loop(while_=Q(missing__gt=0), do=Call(double)), done=CTX)

    assert run(workflow).output == {"each": []}


def test_while_loop_past_its_max_fails():
    result = run(flow(each=Loop(while_=Q(), max=3, do=Call(lambda: 1))))

    assert result.error == "LoopExhausted: Loop 'each' did not end within its max of 3 rounds."


def test_while_loop_past_its_max_goes_to_on_exhausted():
    workflow = flow(
        each=Loop(while_=Q(), max=3, do=Call(lambda: 1, output=None), on_exhausted="many"),
        done=End(),
        many=CTX,
    )

    assert run(workflow).output == {"each": [1, 1, 1]}


def test_condition_that_cannot_be_evaluated_fails_the_loop():
    workflow = flow(begin=Assign(n="x"), each=Loop(while_=Q(n__gt=1), do=Call(double)))

    assert run(workflow).error.startswith("ConditionError: Condition $n gt 1 cannot be evaluated")


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


# Halts and crashes ------------------------------------------------------------------------------


def test_halt_in_a_round_is_resumed_in_that_round():
    done = []
    workflow = flow(
        each=Loop(
            over=["a", "b"],
            do=[
                Call(lambda state: done.append(state.ctx["item"]), name="before", output=None),
                Halt("$item?", name="ask"),
                Call(lambda state: f"{state.ctx['item']}:{state.ctx['ask']}", name="after"),
            ],
        )
    )
    engine = engine_of(workflow)

    first = engine.run()
    second = engine.resume(first.execution_id, response=1)
    third = engine.resume(first.execution_id, response=2, step="each[1]/ask")

    assert [first.halt.prompt, second.halt.prompt] == ["a?", "b?"]
    assert third.output == ["a:1", "b:2"]
    assert done == ["a", "b"]


def test_method_may_halt_in_a_round_and_go_on_at_its_resume_step():
    workflow = flow(
        each=Loop(
            over=[1, 2],
            do=[
                Call(lambda: halt("?", resume_step="c"), name="a"),
                Call(lambda: "b", name="b"),
                Call(lambda state: state.ctx["a"], name="c"),
            ],
        )
    )
    engine = engine_of(workflow)

    halted = engine.run()
    engine.resume(halted.execution_id, response="x")
    result = engine.resume(halted.execution_id, response="y")

    assert result.output == ["x", "y"]


def test_event_in_a_round_that_came_first_is_taken_at_once(store):
    from django_workflows.core.steps import WaitForEvent

    for sku in ("a", "b"):
        store.add_event(InboxEvent(name="packed", key=sku, data=f"{sku} packed"))
    workflow = flow(each=Loop(over=["a", "b"], do=WaitForEvent("packed", key=F("item"), name="w")))

    assert run(workflow, store=store).output == ["a packed", "b packed"]


def test_crash_in_a_round_goes_on_in_that_round(recovered):
    done = []
    crash = [Crash()]

    def work(state):
        done.append(state.ctx["item"])
        if state.ctx["item"] == "b" and crash:
            raise crash.pop()
        return state.ctx["item"]

    engine = engine_of(
        flow(each=Loop(over=F("input__list"), do=Call(work, name="w"), max=5), done=End())
    )

    execution_id = crashed(engine, {"list": ["a", "b", "c"]})
    result = recovered(engine, execution_id)

    assert done == ["a", "b", "b", "c"]
    assert result.output == ["a", "b", "c"]


def test_crash_in_a_while_loop_goes_on_in_the_iteration_it_had_reached(recovered):
    done = []
    crash = [Crash()]

    def work(state):
        done.append(state.ctx["iteration"])
        if len(done) == 2 and crash:
            raise crash.pop()
        return goto("break") if state.ctx["iteration"] == 3 else None

    engine = engine_of(Loop(while_=Q(), do=Call(work, name="w")))

    execution_id = crashed(engine)
    recovered(engine, execution_id)

    assert done == [1, 2, 2, 3]


def test_crash_between_two_steps_of_a_round_does_not_run_the_first_again(recovered):
    done = []
    crash = [Crash()]

    def second(state):
        if crash:
            raise crash.pop()
        return [state.ctx["first"], state.ctx["item"], state.ctx["index"]]

    workflow = flow(
        each=Loop(
            over=["a"],
            do=[
                Call(lambda: done.append(1) or "kept", name="first"),
                Call(second, name="second"),
            ],
        )
    )
    engine = engine_of(workflow)

    execution_id = crashed(engine)
    result = recovered(engine, execution_id)

    assert (done, result.output) == ([1], [["kept", "a", 0]])


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
    from django_workflows.core.retry import Retry

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


# What it says of itself -------------------------------------------------------------------------


def test_loop_says_what_it_reads_sets_and_holds():
    inner = Call(double, name="twice")
    loop = Loop(over="$rows", do=inner, on_exhausted="many", name="it").compiled("it")

    assert [str(ref) for ref in loop.references()] == ["$rows"]
    assert list(loop.sets()) == ["it", "twice"]
    assert list(loop.scope_sets()) == ["item", "index"]
    assert list(loop.targets()) == ["many"]
    assert list(loop.children()) == [inner]
    assert list(loop.scopes()[""].steps) == ["twice"]


def test_while_loop_says_what_it_reads_of_the_steps_before_it():
    loop = Loop(
        while_=Q(outside=1, inside=2, iteration__lt=3), do=Call(double, output="inside")
    ).compiled("it")

    assert [str(ref) for ref in loop.references()] == ["$outside"]
    assert list(loop.scope_sets()) == ["iteration"]
    assert list(loop.targets()) == []


@pytest.mark.parametrize(
    ("loop", "problem"),
    [
        (Loop(do=Call(double)), "needs either over= or while_="),
        (Loop(do=Call(double), over=[], while_=Q()), "needs either over= or while_="),
        (Loop(do=[], over=[]), "has no steps to do"),
        (Loop(do=Call(double), over=[], max=0), "max must be a positive number, not 0"),
        (Loop(do=Call(double), over=[], max=True), "max must be a positive number, not True"),
        (Loop(do=Call(double), over=[], max=None), "max must be a positive number, not None"),
        (Loop(do=Call(double), while_=Q(x__regex="(")), "bad regular expression"),
    ],
)
def test_problem_of_a_loop(loop, problem):
    (found,) = problems(loop)

    assert problem in found


@pytest.mark.parametrize(
    "loop", [Loop(do=Call(double), over=[]), Loop(do=[Call(double)], while_=Q(x=1))]
)
def test_sound_loop_has_no_problems(loop):
    assert problems(loop) == []
