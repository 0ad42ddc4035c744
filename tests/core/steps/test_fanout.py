"""ForEach: one child execution for each item."""

from collections import Counter
from dataclasses import dataclass

import pytest
from django.db.models import F

from django_workflows.core.engine.children import refuse_depth
from django_workflows.core.engine.limits import Limits
from django_workflows.core.engine.threads import Threads
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.steps import (
    Assign,
    Call,
    End,
    ForEach,
    Loop,
    Parallel,
    SubWorkflow,
    goto,
    step,
)
from django_workflows.core.workflow import Workflow
from tests.core.fanning import children_of, each_of, path_of
from tests.core.flows import engine_of, flow, history, run


class Double(Workflow):
    """Returns twice the number that it is given."""

    @dataclass
    class Input:
        item: int

    done = End(result=F("input__item") * 2)


class Shows(Workflow):
    """Returns its input."""

    done = End(result=F("input"))


def spelt(state):
    return state.ctx["letter"] * state.ctx["item"]


# Another workflow -------------------------------------------------------------------------------


@pytest.mark.parametrize("do", ["double", Double], ids=["id", "class"])
def test_results_are_listed_in_the_order_of_the_items(do):
    workflow = flow("Parent", each=ForEach("$input.items", do=do))

    assert run(workflow, {"items": [3, 1, 2]}, Double).output == [6, 2, 4]


@pytest.mark.parametrize(
    ("given", "inputs"),
    [
        # An item that is no mapping is the one field.
        ({}, [{"item": {"a": 1}}, {"item": "x"}]),
        ({"as_": "line"}, [{"line": {"a": 1}}, {"line": "x"}]),
        ({"input": {"n": "$index", "it": "$item", "q": "$input.q"}}, None),
    ],
)
def test_input_of_a_child(given, inputs):
    workflow = flow("Parent", each=ForEach([{"a": 1}, "x"], do="shows", **given))

    output = run(workflow, {"q": 5}, Shows).output

    if inputs is None:
        assert output == [{"n": 0, "it": {"a": 1}, "q": 5}, {"n": 1, "it": "x", "q": 5}]
    else:
        # But a mapping is the whole input.
        assert output == [{"a": 1}, inputs[1]]


def test_children_are_linked_to_the_step_and_inherit_from_the_parent():
    engine = engine_of(flow("Parent", each=ForEach([4, 5], do="double")), Double)

    result = engine.run(queue="slow", priority=7, started_by="alice", subject="shop.order:1")

    children = children_of(engine, result.execution_id)
    assert [child.item for child in children] == [0, 1]
    for child in map(engine.store.load, [child.id for child in children]):
        assert (child.workflow_id, child.parent) == ("double", result.execution_id)
        assert (child.queue, child.priority, child.started_by) == ("slow", 7, "alice")
        assert (child.parent_step, child.subject) == ("each", None)


def test_empty_list_has_no_children():
    engine = engine_of(flow("Parent", each=ForEach([], do="double")), Double)

    result = engine.run()

    assert result.output == []
    assert history(engine, result.execution_id) == ["each"]


@pytest.mark.parametrize("over", ["$input", "$input.missing", F("input__n")])
def test_what_is_no_list_fails_the_step(over):
    result = run(flow("Parent", each=ForEach(over, do="double")), {"n": 3}, Double)

    assert result.error.startswith("StepError: Step 'each' needs a list to go over, not ")


def test_item_that_cannot_be_kept_fails_the_step():
    result = run(flow("Parent", each=ForEach([object()], do="double")), None, Double)

    assert result.error.startswith("PayloadError: [0]: object cannot be stored")


def test_unknown_workflow_fails_the_step():
    result = run(flow("Parent", each=ForEach([1], do="double")))

    assert result.status == ExecutionStatus.FAILED
    assert "double" in result.error


# Steps of its own -------------------------------------------------------------------------------


def test_steps_run_in_an_execution_of_their_own_for_each_item():
    workflow = each_of(
        Call(lambda state: state.ctx["item"] * 10, name="times"),
        Call(lambda state: state.ctx["times"] + state.ctx["index"], name="plus"),
    )
    engine = engine_of(workflow)

    result = engine.run({"items": [3, 1, 2]})

    assert result.output == [30, 11, 22]
    assert {child.workflow_id for child in children_of(engine, result.execution_id)} == {
        "parent/each"
    }
    for child in children_of(engine, result.execution_id):
        assert history(engine, child.id) == ["times", "plus"]
    assert engine.store.load(result.execution_id).ctx == {"each": [30, 11, 22]}


def test_steps_see_what_the_parent_has_but_for_the_list():
    seen = []
    workflow = flow(
        "Parent",
        before=Assign(rate=5, order={"lines": ["x"], "no": 7}),
        each=ForEach(
            "$order.lines",
            as_="line",
            index_as="n",
            do=Call(lambda state: seen.append((dict(state.input), dict(state.ctx))), name="look"),
        ),
    )

    run(workflow, {"q": 1})

    assert seen == [({"q": 1}, {"rate": 5, "order": {"no": 7}, "line": "x", "n": 0})]


@pytest.mark.parametrize(
    ("over", "left"),
    [
        ("$items", ({"items": [1]}, {"n": 0})),
        (F("ctx__items"), ({"items": [1]}, {"n": 0})),
        ("$input.items", ({}, {"items": [1], "n": 0})),
        ([1], ({"items": [1]}, {"items": [1], "n": 0})),
        ("$nested.0.items", ({"items": [1]}, {"items": [1], "n": 0})),
        (F("items") + F("items"), ({"items": [1]}, {"items": [1], "n": 0})),
    ],
)
def test_only_a_list_that_is_referred_to_is_left_out(over, left):
    seen = []
    workflow = flow(
        "Parent",
        before=Assign(items=[1], nested=[{"items": [1]}]),
        each=ForEach(
            over,
            index_as="n",
            do=Call(lambda state: seen.append((dict(state.input), dict(state.ctx))), name="look"),
        ),
    )

    run(workflow, {"items": [1]})

    given, ctx = seen[0]
    assert (given, {key: ctx[key] for key in ("items", "n") if key in ctx}) == left


def test_over_the_history_takes_nothing_away():
    workflow = flow(
        "Parent",
        before=Assign(a=1),
        each=ForEach("$history", do=Call(lambda state: state.ctx["a"], name="x")),
    )

    assert run(workflow).output == [1]


def test_what_a_child_sets_stays_with_it():
    workflow = flow(
        "Parent",
        before=Assign(n=1),
        each=ForEach([5, 6], do=Assign(n=F("item"), name="set")),
        after=End(result=F("ctx")),
    )

    assert run(workflow).output == {"n": 1, "each": [None, None]}


def test_steps_know_who_started_the_parent_and_what_it_is_about():
    workflow = each_of(Call(lambda state: [state.started_by, state.subject], name="who"))
    engine = engine_of(workflow)

    result = engine.run({"items": [1]}, started_by="alice", subject="shop.order:1")

    assert result.output == [["alice", "shop.order:1"]]


def test_methods_of_the_class_are_bound_as_in_a_loop():
    class Parent(Workflow):
        rate = 3

        @step
        def times(self, state):
            return self.rate * state.ctx["item"]

        each = ForEach([1, 2], do=times)

    class Dearer(Parent):
        rate = 10

    assert run(Parent).output == [3, 6]
    assert run(Dearer).output == [10, 20]


def test_fan_out_in_a_fan_out():
    workflow = flow(
        "Parent",
        each=ForEach(
            [[1, 2], [3]],
            as_="row",
            do=ForEach("$row", do=Call(lambda state: state.ctx["item"] * 10, name="x"), name="in"),
        ),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert result.output == [[10, 20], [30]]
    assert Counter(found.workflow_id for found in engine.store.find()) == {
        "parent": 1,
        "parent/each": 2,
        "parent/each/in": 3,
    }


def test_each_round_of_a_loop_has_its_own_children():
    workflow = flow(
        "Parent",
        rounds=Loop(
            over=["a", "b"],
            as_="letter",
            do=ForEach([1, 2], do=Call(spelt, name="x"), name="each"),
        ),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert result.output == [["a", "aa"], ["b", "bb"]]
    assert len(engine.store.children(result.execution_id, "rounds[0]/each")) == 2
    assert len(engine.store.children(result.execution_id, "rounds[1]/each")) == 2
    assert {found.workflow_id for found in engine.store.find()} == {"parent", "parent/rounds/each"}


def test_goto_back_has_new_children():
    ran = []
    workflow = flow(
        "Parent",
        each=ForEach([1], do=Call(lambda state: ran.append(state.ctx["item"]), name="x")),
        back=Call(lambda: goto("each") if len(ran) < 2 else None),
    )
    engine = engine_of(workflow)

    result = engine.run()

    assert ran == [1, 1]
    assert len(engine.store.children(result.execution_id, "each")) == 1
    assert len(engine.store.children(result.execution_id, "each#2")) == 1


@pytest.mark.parametrize("threads", [Threads(8), Threads(0)], ids=str)
def test_two_at_once_in_local_branches(threads):
    workflow = flow(
        "Parent",
        both=Parallel(
            a=ForEach([1, 2], do="double", name="x"),
            b=[Call(lambda: [5], name="list"), ForEach("$list", do="double", name="y")],
        ),
    )

    result = run(workflow, None, Double, threads=threads)

    assert result.output == {"a": [2, 4], "b": [10]}


def test_sub_workflow_that_fans_out():
    child = flow("Child", each=ForEach([1, 2], do=Call(path_of, name="x")))

    assert run(flow("Parent", sub=SubWorkflow("child")), None, child).output == ["x", "x"]


def test_child_that_fans_out_is_found_under_a_workflow_that_calls_it():
    child = flow("Child", each=ForEach([1], do=Call(path_of, name="x")))

    assert run(flow("Parent", outer=ForEach([1], do="child")), None, child).output == [["x"]]


def test_error_that_an_on_error_step_sees_is_seen_by_its_children():
    workflow = flow(
        "Parent",
        bad=Call(lambda: 1 / 0, on_error="each"),
        each=ForEach([1], do=Call(lambda state: state.ctx["_last_error"]["class"], name="x")),
        after=Call(lambda state: [state.ctx["each"], "_last_error" in state.ctx]),
    )

    assert run(workflow).output == [["ZeroDivisionError"], False]


def test_workflow_that_fans_out_to_itself_comes_to_an_end():
    engine = engine_of(flow("Endless", each=ForEach([1], do="endless")), limits=Limits(depth=3))

    result = engine.run()

    assert "Children are nested deeper than 3: does a workflow start itself?" in result.error


@pytest.mark.parametrize(("most", "reads"), [(10, 1), (1, 2)])
def test_parent_is_not_read_by_each_of_its_children_for_its_generation(monkeypatch, most, reads):
    monkeypatch.setattr("django_workflows.core.engine.children.MOST_KNOWN", most)
    # What other tests have left there would count as well.
    monkeypatch.setattr("django_workflows.core.engine.children._generations", {})
    engine = engine_of(flow("Parent", each=ForEach([1, 2], do="double")), Double)
    parents = [engine.run().execution_id for _ in range(2)]
    children = [
        engine.store.load(child.id) for name in parents for child in children_of(engine, name)
    ]
    read, load = [], engine.store.load

    def counted(execution_id):
        read.append(execution_id)
        return load(execution_id)

    monkeypatch.setattr(engine.store, "load", counted)
    for child in [*children, *children]:
        refuse_depth(engine, child)

    assert read == parents * reads
