"""What a parallel gives."""

import threading

import pytest
from django.db.models import F, Q

from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import (
    Assign,
    Call,
    End,
    Loop,
    Parallel,
    Router,
    When,
)
from tests.core.flows import flow, run

CTX = End(result=F("ctx"))


in_threads_and_in_turn = pytest.mark.parametrize("threads", [Threads(8), Threads(0)], ids=str)


def fail():
    raise ValueError("boom")


def problems(step):
    return list(step.compiled("it").problems())


# Outputs and merging ----------------------------------------------------------------------------


@in_threads_and_in_turn
def test_outputs_are_kept_by_branch_and_merged_in_branch_order(threads):
    workflow = flow(
        both=Parallel(
            b=[Call(lambda: 1, name="x"), Call(lambda state: state.ctx["x"] + 1, name="y")],
            a=Assign(z=3, name="set"),
        ),
        done=CTX,
    )

    result = run(workflow, threads=threads)

    assert result.output == {"x": 1, "y": 2, "z": 3, "both": {"b": 2, "a": None}}
    assert list(result.output["both"]) == ["b", "a"]


def test_branches_run_at_once():
    meeting = threading.Barrier(3, timeout=5)

    result = run(Parallel({name: Call(meeting.wait, name="meet", output=None) for name in "abc"}))

    assert result.status == ExecutionStatus.COMPLETED


def test_outputs_as_a_list():
    workflow = flow(
        both=Parallel(
            {"b": Call(lambda: 1, name="x"), "a": Call(lambda: 2, name="y")},
            as_list=True,
        )
    )

    assert run(workflow).output == [1, 2]


def test_options_beside_the_branches():
    workflow = flow(
        both=Parallel(
            {"next": Call(lambda: 1, name="x")},
            output="outs",
            next="done",
            options={"description": "Both."},
        ),
        never=End(),
        done=End(result=F("outs")),
    )

    assert run(workflow).output == {"next": 1}


def test_branch_may_have_the_name_of_an_option():
    workflow = flow(both=Parallel(output=Call(lambda: 1, name="x"), next=[Call(lambda: 2)]))

    assert run(workflow).output == {"output": 1, "next": 2}


def test_branch_sees_ctx_as_it_was_before_and_nothing_of_the_others():
    workflow = flow(
        before=Assign(n=1),
        both=Parallel(
            a=[Assign(m=2, name="set"), Call(lambda state: dict(state.ctx), name="seen_a")],
            b=Call(lambda state: dict(state.ctx), name="seen_b"),
        ),
        done=End(result=[F("seen_a"), F("seen_b")]),
    )

    assert run(workflow, threads=Threads(0)).output == [{"n": 1, "m": 2}, {"n": 1}]


def conflict(**options):
    return flow(
        before=Assign(n=0),
        both=Parallel(
            a=Call(lambda: [1], output="n"),
            b=Assign(other=1, name="set"),
            c=Call(lambda: [2], output="n"),
            **options,
        ),
        done=End(result=F("n")),
    )


def test_two_branches_that_set_one_key_differently_are_a_conflict():
    result = run(conflict())

    assert result.error == (
        "MergeConflict: Branches 'a' and 'c' of 'both' both set 'n': [1] and [2]."
        " Give one another output=, or a merge rule."
    )


@pytest.mark.parametrize(
    ("rule", "n"),
    [
        ("first", [1]),
        ("last", [2]),
        (lambda key, earlier, later: [key, *earlier, *later], ["n", 1, 2]),
    ],
)
def test_merge_rule(rule, n):
    assert run(conflict(merge=rule)).output == n


def test_branches_may_set_one_key_to_one_value():
    workflow = flow(both=Parallel(a=Assign(n=[1], name="x"), b=Assign(n=[1], name="y")), done=CTX)

    assert run(workflow).output["n"] == [1]


def test_key_that_every_branch_keeps_is_no_conflict():
    workflow = flow(
        before=Assign(n=[0]),
        both=Parallel(a=Call(lambda state: state.ctx["n"].append(1), name="x"), b=Call(lambda: 2)),
        done=End(result=F("n")),
    )

    assert run(workflow).output == [0]


def test_merge_rule_that_raises_fails_the_parallel():
    result = run(conflict(merge=lambda key, earlier, later: earlier / later))

    assert result.error.startswith("TypeError: unsupported operand")


def test_merge_rule_whose_value_cannot_be_kept_names_the_key():
    result = run(conflict(merge=lambda key, earlier, later: object()))

    assert "Step 'both' cannot keep its n: object cannot be stored" in result.error


def dropping(name):
    """Return a loop that takes the ctx key ``name`` with it when it ends."""
    return Loop(over=[1], break_key=name, do=Call(lambda: 1, output=None), name="each")


def test_key_that_a_branch_drops_is_dropped():
    workflow = flow(
        before=Assign(stop=False, n=1), both=Parallel(a=dropping("stop"), b=Assign(m=2)), done=CTX
    )

    output = {"n": 1, "m": 2, "each": [1], "both": {"a": [1], "b": None}}
    assert run(workflow).output == output


def test_key_that_one_branch_drops_and_others_set_is_theirs():
    workflow = flow(
        before=Assign(stop=False),
        both=Parallel(
            a=Assign(stop=2, name="x"),
            b=dropping("stop"),
            c=Assign(stop=3, name="y"),
            merge=lambda key, earlier, later: [earlier, later],
        ),
        done=End(result=F("stop")),
    )

    assert run(workflow).output == [2, 3]


# What it says of itself -------------------------------------------------------------------------


def test_parallel_says_what_it_sets_and_holds():
    x, y = Call(fail, name="x"), Router(When(Q(a=1), then="break"), name="y")
    parallel = Parallel(a=x, b=[y], name="it").compiled("it")

    assert list(parallel.sets()) == ["it", "x"]
    assert list(parallel.children()) == [x, y]
    assert {name: list(graph.steps) for name, graph in parallel.scopes().items()} == {
        "a": ["x"],
        "b": ["y"],
    }


@pytest.mark.parametrize(
    ("parallel", "problem"),
    [
        (Parallel(), "has no branches"),
        (Parallel(a=[]), "branch 'a' has no steps"),
        (Parallel(a=Call(fail), wait="some"), "wait must be 'all', 'any' or a number, not 'some'"),
        (Parallel(a=Call(fail), wait=True), "wait must be 'all', 'any' or a number, not True"),
        (Parallel(a=Call(fail), wait=2), "wait=2 does not fit its 1 branches"),
        (Parallel(a=Call(fail), wait=0), "wait=0 does not fit its 1 branches"),
        (Parallel(a=Call(fail), merge="both"), "merge must be 'error', 'first', 'last' or a"),
    ],
)
def test_problem_of_a_parallel(parallel, problem):
    (found,) = problems(parallel)

    assert problem in found


@pytest.mark.parametrize(
    "options", [{}, {"wait": "any"}, {"wait": 1}, {"merge": lambda k, a, b: a}]
)
def test_sound_parallel_has_no_problems(options):
    assert problems(Parallel(a=Call(fail), **options)) == []
