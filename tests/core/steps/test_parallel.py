import threading
from contextlib import contextmanager

import pytest
from django.db.models import F, Q

from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.retry import Retry
from django_workflows.core.steps import (
    Approval,
    Assign,
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    Router,
    When,
    goto,
)
from django_workflows.core.threads import Threads
from django_workflows.core.waits import Answer, WaitStatus
from django_workflows.exceptions import NotResumable, ParallelError
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import Crash, crashed, engine_of, flow, history, run

CTX = End(result=F("ctx"))

in_threads_and_in_turn = pytest.mark.parametrize("threads", [Threads(8), Threads(0)], ids=str)


def fail():
    raise ValueError("boom")


def worse():
    raise KeyError("bang")


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


# How many must be done --------------------------------------------------------------------------


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


# Halts ------------------------------------------------------------------------------------------


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


# Crashes ----------------------------------------------------------------------------------------


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


class FailingCommit(MemoryStore):
    """Fails at the end of its first transaction."""

    failures = 1

    @contextmanager
    def atomic(self):
        with super().atomic():
            yield
            self.failures -= 1
            if self.failures == 0:
                raise ValueError("deferred constraint")


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
