"""Branches that halt."""

import pytest

from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import (
    Approval,
    Assign,
    Call,
    Halt,
    Loop,
    Parallel,
)
from django_workflows.core.waits import Answer, WaitStatus
from django_workflows.exceptions import NotResumable
from tests.core.flows import engine_of, flow

in_threads_and_in_turn = pytest.mark.parametrize("threads", [Threads(8), Threads(0)], ids=str)


def fail():
    raise ValueError("boom")


def two_approvals(**options):
    return flow(
        before=Assign(n=1),
        both=Parallel(
            legal=[
                Approval("legal?", name="ask"),
                Call(lambda state: f"legal {state.ctx['ask']['by']}", name="said", output=None),
            ],
            money=[
                Approval("money?", name="decide"),
                Call(lambda state: f"money {state.ctx['decide']['by']}", name="said", output=None),
            ],
            **options,
        ),
    )


ORDERS = pytest.mark.parametrize(
    "order",
    [["both/legal/ask", "both/money/decide"], ["both/money/decide", "both/legal/ask"]],
    ids=["first to last", "last to first"],
)


@in_threads_and_in_turn
@ORDERS
def test_halts_in_two_branches_are_answered_by_name_in_either_order(threads, order):
    engine = engine_of(two_approvals(), threads=threads)

    halted = engine.run()
    half = engine.resume(halted.execution_id, approved=True, by="ann", step=order[0])
    result = engine.resume(halted.execution_id, approved=True, by="bob", step=order[1])

    assert {wait.step for wait in halted.waits} == set(order)
    assert [wait.step for wait in half.waits] == [order[1]]
    by = dict(zip(order, ("ann", "bob"), strict=True))
    assert result.output == {
        "legal": f"legal {by['both/legal/ask']}",
        "money": f"money {by['both/money/decide']}",
    }


def test_halts_in_two_branches_answered_without_a_name_are_listed():
    engine = engine_of(two_approvals(), threads=Threads(0))
    halted = engine.run()

    with pytest.raises(NotResumable, match="both/legal/ask, both/money/decide") as caught:
        engine.resume(halted.execution_id, approved=True)

    assert caught.value.open_steps == ["both/legal/ask", "both/money/decide"]


def test_halts_in_two_branches_both_answered_before_anyone_drives():
    engine = engine_of(two_approvals())
    halted = engine.run()

    for step in ("both/money/decide", "both/legal/ask"):
        engine.store.settle(halted.execution_id, step, Answer(approved=True, by="ann"))
    result = engine.drive(halted.execution_id)

    assert result.output == {"legal": "legal ann", "money": "money ann"}


def test_answer_that_comes_while_another_branch_still_runs_is_not_lost():
    engine = None

    def answer(state):
        engine.store.settle(state.execution_id, "both/a/ask", Answer(response="quick", by="ann"))
        return "b"

    workflow = flow(both=Parallel(a=Halt(name="ask"), b=[Call(answer, name="x"), Halt(name="y")]))
    engine = engine_of(workflow, threads=Threads(0))

    halted = engine.run()
    result = engine.resume(halted.execution_id, response="slow")

    assert [wait.step for wait in halted.waits] == ["both/b/y"]
    assert result.output == {"a": "quick", "b": "slow"}


def test_enough_branches_without_the_halted_one_withdraw_its_wait():
    engine = engine_of(
        flow(race=Parallel(wait="any", a=Halt(name="ask"), b=Call(lambda: "b", name="x"))),
        threads=Threads(0),
    )

    result = engine.run()

    (wait,) = engine.store.waits(result.execution_id)
    assert result.output == {"b": "b"}
    assert wait.status == WaitStatus.WITHDRAWN
    with pytest.raises(NotResumable):
        engine.resume(result.execution_id)


def test_halted_branch_may_still_be_the_one_that_is_needed():
    engine = engine_of(
        flow(race=Parallel(wait="any", a=Call(fail, name="x"), b=Halt(name="ask"))),
        threads=Threads(0),
    )

    halted = engine.run()
    result = engine.resume(halted.execution_id, response="b")

    assert halted.status == ExecutionStatus.HALTED
    assert result.output == {"b": "b"}


def test_error_of_an_earlier_drive_is_reported_with_the_others():
    def check(state):
        if not state.ctx["ask"]:
            raise KeyError("no")

    engine = engine_of(
        flow(
            both=Parallel(
                a=Call(fail, name="x"), b=[Halt(name="ask"), Call(check, name="y")], wait="any"
            )
        ),
        threads=Threads(0),
    )

    halted = engine.run()
    result = engine.resume(halted.execution_id, response=False)

    assert result.error == (
        "ParallelError: Parallel 'both' (1 needed) failed in 2:"
        " a: ValueError: boom; b: KeyError: 'no'"
    )


def test_failure_that_cannot_be_mended_does_not_wait_for_the_halted_branch():
    engine = engine_of(flow(both=Parallel(a=Call(fail, name="x"), b=Halt(name="ask"))))

    result = engine.run()

    assert result.error == "ParallelError: Parallel 'both' failed in 1: a: ValueError: boom"
    assert engine.store.waits(result.execution_id)[0].status == WaitStatus.WITHDRAWN


def test_halt_in_a_loop_in_a_branch():
    workflow = flow(
        both=Parallel(
            a=Loop(over=[1, 2], do=Halt("$item?", name="ask"), name="each"),
            b=Call(lambda: "b", name="x"),
        )
    )
    engine = engine_of(workflow)

    halted = engine.run()
    engine.resume(halted.execution_id, response="one", step="both/a/each[0]/ask")
    result = engine.resume(halted.execution_id, response="two", step="both/a/each[1]/ask")

    assert result.output == {"a": ["one", "two"], "b": "b"}


def test_parallel_in_a_loop_halts_anew_in_each_round():
    workflow = flow(
        each=Loop(
            over=[1, 2], do=Parallel(a=Halt(name="ask"), b=Call(lambda: 1, name="x"), name="both")
        )
    )
    engine = engine_of(workflow)

    first = engine.run()
    second = engine.resume(first.execution_id, response="one")
    result = engine.resume(first.execution_id, response="two")

    assert [first.waits[0].step, second.waits[0].step] == [
        "each[0]/both/a/ask",
        "each[1]/both/a/ask",
    ]
    assert result.output == [{"a": "one", "b": 1}, {"a": "two", "b": 1}]


def test_parallel_in_a_parallel():
    workflow = flow(
        outer=Parallel(
            a=Parallel(x=Halt(name="ask"), y=Halt(name="tell"), name="inner"),
            b=Call(lambda: 1, name="z"),
        )
    )
    engine = engine_of(workflow)

    halted = engine.run()
    engine.resume(halted.execution_id, response=5, step="outer/a/inner/y/tell")
    result = engine.resume(halted.execution_id, response=4)

    assert result.output == {"a": {"x": 4, "y": 5}, "b": 1}
