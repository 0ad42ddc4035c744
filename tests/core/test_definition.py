from dataclasses import replace

import pytest
from django.db.models import Q

from django_workflows.core.definition import (
    BREAK,
    CONTINUE,
    FINISHED,
    compile_graph,
    plain_path,
    reachable,
    source_of,
)
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
)
from tests.core.flows import define, flow


def named(name, **options):
    return Call(lambda: 1, name=name, **options)


def test_step_goes_to_the_one_written_after_it():
    graph = compile_graph([named("a"), named("b", next="a"), named("c")])

    assert graph.follow == {"a": "b", "b": "a", "c": None}
    assert graph.first == "a"


def test_step_of_a_document_goes_where_it_says():
    graph = compile_graph([named("a"), named("b", next="a")], follow=False)

    assert graph.follow == {"a": None, "b": "a"}


def test_end_and_router_go_nowhere_by_themselves():
    graph = compile_graph([End(name="a"), Router(default="c", name="b"), named("c")])

    assert graph.follow == {"a": None, "b": None, "c": None}


@pytest.mark.parametrize("end", [FINISHED, BREAK, CONTINUE])
def test_step_may_name_an_end_as_its_next(end):
    assert compile_graph([named("a", next=end), named("b")]).follow["a"] == end


def test_empty_graph():
    graph = compile_graph([])

    assert (graph.first, graph.follow, graph.cyclic) == (None, {}, frozenset())


def test_nameless_steps_are_named_after_their_service_or_kind_and_place():
    def pay():
        pass

    graph = compile_graph([Call(pay), Assign(x=1), Call(lambda: 1), Call("builtins.len")])

    assert list(graph.steps) == ["pay", "assign_2", "call_3", "len"]


def test_names_taken_twice_are_remembered():
    assert compile_graph([named("a"), named("a"), named("b")]).duplicates == ("a",)


def test_successors_are_every_way_on():
    graph = compile_graph(
        [
            Router(When(Q(x=1), then="c"), default="b", name="a"),
            Approval("?", name="b", on_reject="a", on_error="d", on_timeout="nowhere"),
            Halt(name="c", resume_step="b"),
            End(name="d"),
        ]
    )

    assert {name: graph.successors(name) for name in graph.steps} == {
        "a": ["c", "b"],
        "b": ["c", "d", "a"],
        "c": ["d", "b"],
        "d": [],
    }


@pytest.mark.parametrize(
    ("steps", "cyclic"),
    [
        ([named("a"), named("b")], set()),
        ([named("a"), named("b", next="a")], {"a", "b"}),
        ([named("a", next="a"), named("b")], {"a"}),
        ([named("a"), named("b", on_error="b"), named("c")], {"b"}),
        # back up the page, yet no circle
        ([named("a", next="c"), named("b", next="d"), named("c", next="b"), End(name="d")], set()),
    ],
)
def test_steps_on_a_circle(steps, cyclic):
    assert compile_graph(steps).cyclic == cyclic


def test_reachable_steps():
    graph = compile_graph([named("a", next="c"), named("b"), named("c")])

    assert reachable(graph, ["a"]) == {"a", "c"}


NESTED = flow(
    a=Assign(x=1),
    each=Loop(over=[1], do=[Parallel({"left": named("x"), "right": [named("y")]}, name="both")]),
    done=End(),
)


def test_walk_yields_nested_steps_after_the_step_that_holds_them():
    paths = [path for path, _, _ in define(NESTED).graph.walk()]

    assert paths == ["a", "each", "each/both", "each/both/left/x", "each/both/right/y", "done"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a", "a"),
        ("each/both/right/y", "y"),
        ("each[3]/both#2/right/y#4", "y"),
        ("each[3]/nobody", None),
        ("y", None),
    ],
)
def test_step_at_a_path(path, name):
    step = define(NESTED).step_at(path)

    assert (step and step.name) == name


def test_plain_path_has_no_rounds_and_visits():
    assert plain_path("each[3]/pay#2") == "each/pay"


def test_definition_as_data_has_its_steps():
    data = define(NESTED).to_dict()

    assert data["id"] == "flow"


def test_definition_shows_itself_shortly():
    definition = define(flow(done=End()))

    assert repr(replace(definition, source="shop.py:7")) == (
        "<WorkflowDefinition 'flow' version '1' written at shop.py:7>"
    )
    assert repr(replace(definition, source="")) == "<WorkflowDefinition 'flow' version '1'>"


def test_source_is_the_line_it_was_written_at():
    assert source_of(test_empty_graph).endswith("test_definition.py:" + line_of(test_empty_graph))
    assert source_of(7) == ""
    assert source_of(type("Made", (), {"__module__": "nowhere"})) == ""


def line_of(function):
    return str(function.__code__.co_firstlineno)
