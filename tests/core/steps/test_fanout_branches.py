"""Parallel(distributed=True): branches as child executions."""

import pytest
from django.db.models import F

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.forking import context_at
from django_workflows.core.steps import Approval, Assign, Call, End, ForEach, Halt, Loop, Parallel
from django_workflows.core.waits import Answer, Cause, WaitKind
from tests.core.fanning import again
from tests.core.flows import engine_of, flow, run


def fail():
    raise ValueError("boom")


def both(*, after=None, **options):
    parallel = Parallel(distributed=True, **options)
    return flow(
        "Parent", before=Assign(n=1, gone=2), both=parallel, after=after or End(result=F("ctx"))
    )


def children_of(engine, result):
    return engine.store.children(result.execution_id, "both")


def statuses(engine, result):
    return [str(child.status) for child in children_of(engine, result)]


def test_each_branch_is_a_child_that_begins_with_the_ctx_of_its_parent():
    seen = []

    def look(state):
        seen.append((state.workflow_id, dict(state.input), dict(state.ctx)))
        return state.path

    workflow = both(left=Call(look, name="l"), right=[Call(look, name="r"), Call(look, name="s")])
    engine = engine_of(workflow)

    result = engine.run({"q": 5}, queue="slow", started_by="alice", subject="shop.order:1")

    assert result.output == {
        "n": 1,
        "gone": 2,
        "l": "l",
        "r": "r",
        "s": "s",
        "both": {"left": "l", "right": "s"},
    }
    assert seen == [
        ("parent/both/left", {"q": 5}, {"n": 1, "gone": 2}),
        ("parent/both/right", {"q": 5}, {"n": 1, "gone": 2}),
        ("parent/both/right", {"q": 5}, {"n": 1, "gone": 2, "r": "r"}),
    ]
    for child in map(engine.store.load, [child.id for child in children_of(engine, result)]):
        assert (child.queue, child.started_by, child.subject) == ("slow", "alice", "shop.order:1")


def test_parent_waits_for_all_of_them_at_once():
    engine = engine_of(both(a=Halt("?", name="x"), b=Halt("?", name="y")))

    halted = engine.run()

    (wait,) = halted.waits
    assert (wait.kind, wait.key) == (WaitKind.CHILD, None)
    assert wait.data == {
        "total": 2,
        "needed": 2,
        "concurrency": None,
        "workflow_id": "parent/both",
    }


def test_branches_that_halt_are_answered_as_any_child():
    engine = engine_of(both(legal=Approval("?", name="l"), money=Approval("?", name="m")))
    halted = engine.run()
    legal, money = (child.id for child in children_of(engine, halted))

    engine.resume(money, approved=True, by="bob")
    engine.resume(legal, approved=True, by="ann")

    output = engine.result(halted.execution_id).output
    assert (output["l"]["by"], output["m"]["by"]) == ("ann", "bob")


# Merging ----------------------------------------------------------------------------------------


def test_what_a_branch_drops_is_dropped():
    class Drop(Call):
        def execute(self, state, run):
            return self.proceed(state.without_ctx("gone"))

    result = run(both(a=Drop(fail, name="x", output=None), b=Call(lambda: 1, name="y")))

    assert result.output == {"n": 1, "y": 1, "both": {"a": None, "b": 1}}


def test_what_a_branch_sets_again_to_the_same_is_no_change():
    result = run(both(a=Assign(n=1, name="x"), b=Assign(n=F("n") + 1, name="y")))

    assert result.output["n"] == 2


def test_true_is_another_value_than_one():
    result = run(both(a=Assign(n=True, name="x"), b=Assign(m=1, name="y")))

    assert result.output["n"] is True


def test_two_that_set_one_variable_conflict():
    result = run(both(a=Assign(n=2, name="x"), b=Assign(n=3, name="y")))

    assert result.error == (
        "MergeConflict: Branches 'a' and 'b' of 'both' both set 'n': 2 and 3. Give one another"
        " output=, or a merge rule."
    )


@pytest.mark.parametrize(
    ("rule", "merged"), [("first", 2), ("last", 3), (lambda key, a, b: [key, a, b], ["n", 2, 3])]
)
def test_rule_decides_between_two_that_set_one_variable(rule, merged):
    result = run(both(merge=rule, a=Assign(n=2, name="x"), b=Assign(n=3, name="y")))

    assert result.output["n"] == merged


def test_outputs_as_a_list():
    workflow = both(as_list=True, a=Call(lambda: 1, name="x"), b=Call(lambda: 2, name="y"))

    assert run(workflow).output["both"] == [1, 2]


# Enough -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["any", 1])
def test_enough_branches_end_it_and_the_others_are_cancelled(wait):
    engine = engine_of(both(wait=wait, slow=Halt("?", name="x"), quick=Call(lambda: 7, name="y")))

    result = engine.run()

    assert result.output["both"] == {"quick": 7}
    assert statuses(engine, result) == ["cancelled", "completed"]


def test_enough_of_several():
    engine = engine_of(
        both(wait=2, a=Halt("?", name="x"), b=Call(fail, name="y"), c=Call(lambda: 7, name="z"))
    )

    halted = engine.run()
    engine.resume(children_of(engine, halted)[0].id, 5)

    assert halted.status == ExecutionStatus.HALTED
    assert engine.result(halted.execution_id).output["both"] == {"a": 5, "c": 7}


def test_all_that_ended_before_anybody_asked_are_taken():
    engine = engine_of(both(wait="any", a=Call(lambda: 1, name="x"), b=Call(lambda: 2, name="y")))
    execution = engine.create()
    engine.awaken = lambda woken: None
    engine.drive(execution.id)
    for child in engine.store.children(execution.id, "both"):
        engine.sibling(child.workflow_id).drive(child.id)

    engine.drive(execution.id)

    assert engine.result(execution.id).output["both"] == {"a": 1, "b": 2}


def test_branch_that_fails_fails_the_step_and_cancels_the_others():
    engine = engine_of(both(a=Call(fail, name="x"), b=Halt("?", name="y")))

    result = engine.run()

    assert result.error == "ParallelError: Parallel 'both' failed in 1: a: ValueError: boom"
    assert statuses(engine, result) == ["failed", "cancelled"]


def test_errors_of_all_branches_are_told():
    engine = engine_of(both(wait="any", a=Call(fail, name="x"), b=Call(fail, name="y")))

    assert engine.run().error == (
        "ParallelError: Parallel 'both' (1 needed) failed in 2: a: ValueError: boom;"
        " b: ValueError: boom"
    )


def test_branch_that_was_deleted_is_lost():
    engine = engine_of(both(a=Halt("?", name="x"), b=Halt("?", name="y")))
    halted = engine.run()
    first, second = (child.id for child in children_of(engine, halted))

    engine.store.delete(first)
    engine.resume(second, 1)

    assert engine.result(halted.execution_id).error == (
        "ParallelError: Parallel 'both' failed in 1: a: its execution was deleted"
    )


def test_branch_that_somebody_drives_again_is_waited_for():
    engine = engine_of(both(a=Call(lambda: 1, name="x"), b=Halt("?", name="y")))
    execution = engine.create()
    engine.awaken = lambda woken: None
    engine.drive(execution.id)
    first, second = (child.id for child in engine.store.children(execution.id, "both"))
    engine.sibling("parent/both/a").drive(first)
    engine.store.settle(execution.id, None, Answer(cause=Cause.CHILD))

    waiting = engine.drive(execution.id)

    assert waiting.status == ExecutionStatus.HALTED
    engine.sibling("parent/both/b").drive(second)
    engine.resume(second, 2)
    engine.drive(execution.id)
    assert engine.result(execution.id).output["both"] == {"a": 1, "b": 2}


# Again ------------------------------------------------------------------------------------------


def test_driven_again_by_hand_it_runs_only_the_branches_that_are_not_done():
    ran, broken = [], [1]

    def work():
        ran.append("b")
        if broken:
            raise ValueError(broken.pop())

    engine = engine_of(both(a=Call(lambda: ran.append("a"), name="x"), b=Call(work, name="y")))
    failed = engine.run()

    result = again(engine, failed.execution_id)

    assert result.status == ExecutionStatus.COMPLETED
    assert ran == ["a", "b", "b"]


def test_driven_again_with_another_ctx_all_branches_are_run_anew():
    numbers, broken = iter([1, 2]), [1]

    def work():
        if broken:
            raise ValueError(broken.pop())

    engine = engine_of(
        flow(
            "Parent",
            before=Call(lambda: next(numbers)),
            both=Parallel(
                distributed=True,
                a=Call(lambda state: state.ctx["before"] * 10, name="x"),
                b=Call(work, name="y"),
            ),
            after=End(result=F("ctx")),
        )
    )
    failed = engine.run()

    result = again(engine, failed.execution_id, from_step="before")

    assert result.output == {"before": 2, "x": 20, "y": None, "both": {"a": 20, "b": None}}


# In other steps ---------------------------------------------------------------------------------


def test_in_a_loop_each_round_has_its_own_branches():
    workflow = flow(
        "Parent",
        rounds=Loop(
            over=[1, 2],
            do=Parallel(
                distributed=True, a=Call(lambda state: state.ctx["item"], name="x"), name="both"
            ),
        ),
    )

    assert run(workflow).output == [{"a": 1}, {"a": 2}]


def test_in_a_local_branch():
    workflow = flow(
        "Parent",
        outer=Parallel(
            a=Parallel(
                distributed=True, x=Assign(v=1, name="p"), y=Assign(w=2, name="q"), name="i"
            ),
            b=Assign(u=3, name="r"),
        ),
        after=End(result=F("ctx")),
    )

    output = run(workflow).output

    assert {key: output[key] for key in "vwu"} == {"v": 1, "w": 2, "u": 3}


def test_fan_out_in_a_branch():
    workflow = both(
        a=ForEach([1, 2], do=Call(lambda state: state.ctx["item"], name="x"), name="each"),
        b=Parallel(distributed=True, c=Call(lambda: 3, name="y"), name="inner"),
    )

    assert run(workflow).output["both"] == {"a": [1, 2], "b": {"c": 3}}


def test_step_that_undoes_all_branches_is_run_where_the_parent_fails_later():
    undone = []
    workflow = flow(
        "Parent",
        both=Parallel(distributed=True, a=Call(lambda: 1, name="x"), compensate="undo"),
        bad=Call(fail),
        done=End(),
        undo=Call(lambda state: undone.append(state.ctx["both"])),
    )

    run(workflow)

    assert undone == [{"a": 1}]


def test_branch_may_be_called_compensate():
    workflow = flow("Parent", both=Parallel(compensate=Call(lambda: 1, name="x")))

    assert run(workflow).output == {"compensate": 1}


def test_what_the_branches_set_is_known_to_a_fork():
    engine = engine_of(both(a=Assign(v=1, name="x"), b=Assign(n=5, name="y"), after=Halt("?")))
    halted = engine.run()
    execution = engine.store.load(halted.execution_id)

    ctx = context_at(engine.definition, execution, engine.store.entries(execution.id), "after")

    assert ctx == {"n": 5, "gone": 2, "v": 1, "both": {"a": None, "b": None}}
