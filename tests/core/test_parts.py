"""What children run that belong to a part of a workflow: how it is found and drawn."""

import pytest

from django_workflows.core.definition import find_definition
from django_workflows.core.graph import dot, export, mermaid, svg
from django_workflows.core.steps import Call, ForEach, Loop, Parallel
from django_workflows.core.workflow import Workflows
from django_workflows.exceptions import ConfigurationError, UnknownWorkflow
from tests.core.flows import define, flow


def work():
    return 1


def pay(**options):
    return Call(work, name="pay", **options)


def both(**options):
    return Parallel(left=pay(), right=Call(work, name="ask"), distributed=True, **options)


@pytest.fixture
def names():
    return Workflows("workflow id", UnknownWorkflow)


@pytest.fixture
def order():
    return define(
        flow(
            "Order",
            each=ForEach("$input.lines", do=[pay(), ForEach([1], do=work_on(), name="inner")]),
            rounds=Loop(over=[1], do=both(name="both")),
        )
    )


def work_on():
    return Call(work, name="deep")


PARTS = ["order/each", "order/each/inner", "order/rounds/both/left", "order/rounds/both/right"]


# Finding ----------------------------------------------------------------------------------------


def test_each_body_and_branch_is_a_part(order):
    assert list(order.parts) == PARTS
    for identifier, part in order.parts.items():
        assert (part.id, part.version, part.part_of) == (identifier, order.version, order)
        assert part.parts == {}


def test_steps_of_a_part_are_those_of_the_whole(order):
    part = order.parts["order/each"]

    assert part.graph.steps["pay"] is order.step_at("each/pay")
    assert part.step_at("inner/deep") is order.step_at("each/inner/deep")


def test_registry_finds_parts_by_their_workflow(names, order):
    names.add("order", order)

    assert names["order/each"] is order.parts["order/each"]
    assert "order/each/inner" in names
    assert "order/rounds/both" not in names
    assert "other/each" not in names
    assert 7 not in names
    assert list(names) == ["order"]
    assert names.values() == [order]
    assert names.ids() == ["order", *PARTS]


def test_part_that_is_not_there_is_an_unknown_workflow(names, order):
    names.add("order", order)

    with pytest.raises(UnknownWorkflow, match="No workflow 'order/gone' is registered"):
        names["order/gone"]


def test_id_of_the_whole_may_have_slashes(names):
    definition = define(type("Slashed", (flow("Base"),), {"id": "shop/order", "each": each()}))
    names.add("shop/order", definition)

    assert names["shop/order/each"].part_of is definition


def each():
    return ForEach([1], do=pay())


def test_part_is_found_from_another_part(order):
    lookup = {"order/each": order.parts["order/each"]}.__getitem__

    assert find_definition("order/each/inner", lookup) is order.parts["order/each/inner"]


@pytest.mark.parametrize("first", ["whole", "other"])
def test_workflow_under_the_id_of_a_part_is_refused(names, order, first):
    other = define(type("Other", (flow("Base"),), {"id": "order/each", "x": Call(work)}))
    definitions = [("order", order), ("order/each", other)]
    if first == "other":
        definitions.reverse()
    names.add(*definitions[0])

    with pytest.raises(ConfigurationError, match="workflow id 'order/each' is that of children"):
        names.add(*definitions[1])

    assert len(names) == 1


def test_workflow_may_be_registered_again(names, order):
    names.add("order", order)

    assert names.add("order", order) is order


# Drawing ----------------------------------------------------------------------------------------


def test_body_is_drawn_inside_of_it(order):
    graph = export(order)

    nodes = {node["id"]: node for node in graph["nodes"]}
    assert nodes["each"]["shape"] == "group"
    assert nodes["each"]["scopes"] == ["each"]
    assert nodes["each/pay"]["scope"] == "each"
    assert nodes["rounds/both"]["scopes"] == ["rounds/both/left", "rounds/both/right"]
    assert {"from": "each", "to": "each/pay", "kind": "body", "label": ""} in graph["edges"]
    for draw in (mermaid, dot, svg):
        assert "deep" in draw(graph)


def test_other_workflow_is_drawn_as_a_wait():
    graph = export(define(flow("Order", each=ForEach([1], do="x"))))

    assert graph["nodes"][0]["shape"] == "wait"
    assert svg(graph)


def test_part_is_drawn_by_itself(order):
    graph = export(order.parts["order/each"])

    assert [node["id"] for node in graph["nodes"]] == ["pay", "inner", "inner/deep"]
