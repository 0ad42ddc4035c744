"""Loops."""

import pytest
from django.db.models import F, Q

from django_workflows.core.steps import Assign, Call, End, Loop, Router, When
from django_workflows.exceptions import LoopExhausted
from tests.core.flows import engine_of, flow, history, run

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
