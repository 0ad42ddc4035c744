"""What is refused of a step that starts a group of children, and how documents write it."""

import pytest

from django_workflows.core.document import load_document
from django_workflows.core.steps import Assign, Call, End, ForEach, Loop, Parallel, goto
from django_workflows.core.validation import problems
from django_workflows.exceptions import DefinitionError
from tests.core.flows import define, flow


def work():
    return 1


def pay(**options):
    return Call(work, name="pay", **options)


def both(**options):
    return Parallel(left=pay(), right=Call(work, name="ask"), distributed=True, **options)


def each():
    return ForEach([1], do=pay())


def messages(definition):
    return [problem.message for problem in problems(definition)]


def checked(**steps):
    return messages(define(flow("Order", **steps)))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, "has nothing to do: give do= a workflow, a step or a list of steps"),
        ({"do": []}, "has nothing to do: give do= a workflow, a step or a list of steps"),
        ({"over": "items"}, "over must be a list or a reference to one, not 'items'"),
        ({"over": None}, "over must be a list or a reference to one, not None"),
        ({"do": "x", "concurrency": 0}, "concurrency must be a whole number from 1 on, not 0"),
        ({"do": "x", "concurrency": 1.5}, "concurrency must be a whole number from 1 on, not 1.5"),
        (
            {"do": "x", "concurrency": True},
            "concurrency must be a whole number from 1 on, not True",
        ),
        (
            {"do": "x", "on_item_error": "x"},
            "on_item_error must be 'fail', 'skip' or 'collect', not 'x'",
        ),
        ({"do": "x", "timeout": 0}, "timeout must be positive, not 0"),
        ({"do": "x", "as_": "index"}, "as_ and index_as are both 'index': give one another name"),
        (
            {"do": pay(), "input": {"a": 1}},
            "input is for a workflow: the steps of do see the input of this one",
        ),
    ],
)
def test_bad_option_is_refused(options, problem):
    options = {"over": [1], "do": None, **options}
    if options["do"] is None and "nothing" not in problem:
        options["do"] = "x"

    assert f"step 'each': {problem}" in checked(each=ForEach(options.pop("over"), **options))


@pytest.mark.parametrize(
    "step",
    [
        ForEach("$input.items", do="x", concurrency=5, timeout=3, on_item_error="collect"),
        ForEach([1], do="x", input={"a": "$item", "b": "$index", "c": "$ctx.item"}),
        ForEach([1], do=[pay(), Assign(a="$item", b="$pay", name="set")]),
        both(),
    ],
)
def test_good_one_is_not(step):
    assert checked(each=step) == []


def test_input_may_read_what_is_there_alone():
    found = checked(each=ForEach([1], do="x", input={"a": "$itme"}))

    assert found == ["step 'each': reads $itme, but no step sets 'itme'; there are: none"]


def test_what_a_child_sets_is_not_there_afterwards():
    found = checked(each=ForEach([1], do=pay()), after=End(result=["$pay", "$item", "$each"]))

    assert found == [
        "step 'after': reads $pay, but no step on a way to it sets 'pay'",
        "step 'after': reads $item, but no step on a way to it sets 'item'",
    ]


@pytest.mark.parametrize("step", [ForEach([1], do=pay(), on_error="after"), both(on_error="after")])
def test_what_a_child_sets_is_not_there_where_it_failed(step):
    found = checked(each=step, done=End(), after=End(result="$pay"))

    assert found == ["step 'after': reads $pay, but no step on a way to it sets 'pay'"]


def test_what_branches_set_is_there_afterwards():
    assert checked(both=both(), after=End(result="$pay")) == []


@pytest.mark.parametrize(
    ("over", "read"),
    [
        ("$input.items", "$input.items"),
        ("$seed", "$seed.0"),
        ("$seed", "$ctx.seed"),
        ("$ctx.seed", "$seed"),
    ],
)
def test_list_itself_cannot_be_read_by_its_steps(over, read):
    found = checked(
        seed=Call(work), each=ForEach(over, do=Loop(over=[1], do=Assign(a=read, name="set")))
    )

    assert found[0].startswith(
        f"step 'each': its step 'loop_1/set' reads the list itself, {over}, which no child has;"
    )


@pytest.mark.parametrize(
    ("over", "do"),
    [
        ("$seed.lines", Assign(a="$seed.total", name="set")),
        ("$seed", [Call(work, name="seed"), Assign(a="$seed", name="set")]),
        ("$input.items", Assign(a="$input.other", name="set")),
        ("$item", Assign(a="$item", name="set")),
    ],
)
def test_what_only_looks_like_the_list_may_be_read(over, do):
    assert checked(seed=Call(work), item=Call(work), each=ForEach(over, do=do)) == []


def test_end_inside_is_refused():
    found = checked(each=ForEach([1], do=End(name="stop")))

    assert found == [
        "step 'each/stop': cannot end the workflow from inside of 'each'; use next='__FINISHED__'"
    ]


def test_break_inside_is_refused():
    found = checked(each=ForEach([1], do=pay(next="break")))

    assert "step 'each/pay': next names 'break', which is no step inside of 'each'" in found[0]


def test_compensation_inside_names_a_step_of_the_workflow():
    steps = {"done": End(), "undo": Call(work)}

    assert checked(each=ForEach([1], do=pay(compensate="undo")), **steps) == []
    assert "compensate names 'pay'" in checked(each=ForEach([1], do=pay(compensate="pay")))[0]


@pytest.mark.parametrize("undo", [each(), both()])
def test_fan_out_undoes_nothing(undo):
    found = checked(book=Call(work, compensate="undo"), done=End(), undo=undo)

    assert "cannot undo anything" in found[0]


def test_local_branches_are_undone_step_by_step():
    found = checked(both=Parallel(a=pay(), compensate="undo"), done=End(), undo=Call(work))

    assert found[0].startswith("step 'both': compensate is for distributed branches; ")


def test_workflow_id_of_a_part_has_a_limit():
    long = {"x" * 100: ForEach([1], do=pay())}
    definition = define(type("Long", (flow("Base"),), {"id": "y" * 100, **long}))

    (problem,) = messages(definition)

    assert f"its children would run as {'y' * 100 + '/' + 'x' * 100!r}, of more than 200" in problem


def test_goto_inside_is_seen():
    found = checked(
        each=ForEach([1], do=[Call(lambda: goto("b"), name="a"), pay(), Call(work, name="b")])
    )

    assert found == []


# Documents --------------------------------------------------------------------------------------

DOCUMENT = """
id: order
name: Order
inputs:
  lines: {type: array}
steps:
"""


def document(text):
    return load_document(DOCUMENT + text)


def test_for_each_of_a_document_runs_steps():
    definition = document(
        """
  - id: each
    type: for_each
    over: $input.lines
    as: line
    index_as: number
    concurrency: 5
    on_item_error: collect
    timeout: 60
    output: results
    do:
      - {id: double, type: assign, set: {twice: $line}}
      - {id: again, type: assign, set: {more: $twice}}
"""
    )

    step = definition.graph.steps["each"]
    assert (step.as_, step.index_as, step.concurrency, step.on_item_error) == (
        *("line", "number", 5),
        "collect",
    )
    assert (step.child_timeout, step.output_key) == (60, "results")
    assert step.body.follow == {"double": "again", "again": None}
    assert list(definition.parts) == ["order/each"]
    assert not definition.parts["order/each"].whole_ctx_result


def test_for_each_of_a_document_runs_another_workflow():
    definition = document(
        """
  - {id: each, type: for_each, over: [1, 2], workflow_id: pay, input: {n: $item}}
"""
    )

    step = definition.graph.steps["each"]
    assert (step.workflow_id, step.input, step.over) == ("pay", {"n": "$item"}, [1, 2])
    assert (step.concurrency, step.on_item_error, step.output_key) == (None, "fail", None)


def test_parallel_of_a_document_may_be_distributed():
    definition = document(
        """
  - id: both
    type: parallel
    distributed: true
    branches:
      - {id: a, type: assign, set: {x: 1}}
"""
    )

    assert definition.graph.steps["both"].distributed
    assert list(definition.parts) == ["order/both/a"]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("over: [1]", "needs either do or workflow_id, not both and not neither"),
        (
            "over: [1], workflow_id: x, do: [{id: a, type: assign, set: {x: 1}}]",
            "needs either do or workflow_id, not both and not neither",
        ),
        ("workflow_id: x", "over must be a list or a reference to one, not None"),
        ("over: 5, workflow_id: x", "over: must be a list, or a reference such as"),
        ("over: [1], workflow_id: x, concurrency: 0", "concurrency: must be a whole number from 1"),
        (
            "over: [1], workflow_id: x, on_item_error: ignore",
            "on_item_error: is the unknown 'ignore'; known are fail, skip, collect",
        ),
        ("over: [1], workflow_id: x, max: 3", "max: is no key of a step of type for_each"),
        ("over: [1], do: []", "do: needs at least one step"),
    ],
)
def test_bad_for_each_of_a_document_is_refused(keys, problem):
    with pytest.raises(DefinitionError) as caught:
        document(f"  - {{id: each, type: for_each, {keys}}}\n")

    assert problem in str(caught.value)
