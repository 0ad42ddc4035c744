"""The graph as data, as text and as a picture."""

import json
import os
import re
import subprocess
import sys
import time
from datetime import timedelta
from itertools import pairwise
from operator import methodcaller
from xml.etree import ElementTree as ET

import pytest
from django.db.models import F, Q

from django_workflows.core.conditions import condition
from django_workflows.core.definition import FINISHED, WorkflowDefinition, compile_graph
from django_workflows.core.graph import condition_text, dot, export, mermaid, svg
from django_workflows.core.graph.layout import layout
from django_workflows.core.steps import (
    Approval,
    Assign,
    Call,
    End,
    Halt,
    Loop,
    Parallel,
    Router,
    Sleep,
    Start,
    When,
    goto,
    step,
)
from django_workflows.core.workflow import Workflow
from tests.core.flows import define, flow

SVG = "{http://www.w3.org/2000/svg}"


def work():
    return 1


class Order(Workflow):
    """Ship an order."""

    version = "2"

    @step(on_error="refuse")
    def validate(self, state):
        """Look at the lines."""
        return {}

    amount = Router(When(Q(validate__total__gt=1000), then="review"), default="charge")
    review = Approval("?", timeout=timedelta(days=2), on_reject="refuse", on_timeout="refuse")
    charge = Call(work, compensate="refund")
    each = Loop(
        over=F("validate__lines"),
        max=3,
        on_exhausted="refuse",
        do=[
            Call(lambda: goto("break"), name="pick"),
            Router(When(Q(pick=1), then="pack"), default="continue", name="way"),
            Call(work, name="pack"),
        ],
    )
    both = Parallel(left=[Call(work, name="a"), Halt(name="b", resume_step="a")], right=Sleep(1))
    done = End(result=F("charge"))
    refuse = Assign(outcome="refused")
    refund = Call(work)


@pytest.fixture
def graph():
    return export(define(Order))


def edges_of(graph, source):
    return [
        (edge["to"], edge["kind"], edge["label"])
        for edge in graph["edges"]
        if edge["from"] == source
    ]


def exits_of(graph, source):
    return [(way["to"], way["kind"]) for way in graph["exits"] if way["from"] == source]


def drawn(graph, **marks):
    return ET.fromstring(svg(graph, **marks))


def step_of(picture, path):
    [found] = [group for group in picture.iter(f"{SVG}g") if group.get("data-step") == path]
    return found


def attributes(picture, name):
    return [element.get(name) for element in picture.iter() if element.get(name) is not None]


# Data -------------------------------------------------------------------------------------------


def test_export_says_what_it_is_of(graph):
    assert {key: graph[key] for key in ("id", "name", "version", "description")} == {
        "id": "order",
        "name": "Order",
        "version": "2",
        "description": "Ship an order.",
    }


def test_export_is_plain_json(graph):
    assert json.loads(json.dumps(graph)) == graph


def test_definition_exports_itself(graph):
    assert define(Order).to_dict() == graph


def test_nodes_are_the_paths_of_all_steps(graph):
    assert [node["id"] for node in graph["nodes"]] == [
        *["validate", "amount", "review", "charge", "each", "both", "done", "refuse", "refund"],
        *["each/pick", "each/way", "each/pack"],
        *["both/left/a", "both/left/b", "both/right/sleep_1"],
    ]


def test_node(graph):
    nodes = {node["id"]: node for node in graph["nodes"]}

    assert nodes["validate"] == {
        "id": "validate",
        "name": "validate",
        "type": "call",
        "shape": "task",
        "description": "Look at the lines.",
        "scope": "",
        "scopes": [],
    }
    assert nodes["each"]["scopes"] == ["each"]
    assert nodes["both"]["scopes"] == ["both/left", "both/right"]
    assert nodes["both/left/a"]["scope"] == "both/left"


@pytest.mark.parametrize(
    ("it", "shape"),
    [
        (Start(), "terminal"),
        (End(), "terminal"),
        (Router(default="it"), "decision"),
        (Halt(), "wait"),
        (Sleep(1), "wait"),
        (Approval("?"), "wait"),
        (Loop(over=[], do=Call(work)), "group"),
        (Parallel(a=Call(work)), "group"),
        (Assign(a=1), "task"),
    ],
)
def test_shape(it, shape):
    assert export(define(flow(it=it)))["nodes"][0]["shape"] == shape


@pytest.mark.parametrize(
    ("source", "edges"),
    [
        ("validate", [("amount", "next", ""), ("refuse", "on_error", "on error")]),
        (
            "amount",
            [("review", "route", "validate.total > 1000"), ("charge", "default", "otherwise")],
        ),
        (
            "review",
            [
                ("charge", "next", ""),
                ("refuse", "reject", "rejected"),
                ("refuse", "timeout", "timeout"),
            ],
        ),
        ("charge", [("each", "next", ""), ("refund", "compensate", "undo")]),
        (
            "each",
            [
                ("both", "next", ""),
                ("refuse", "exhausted", "exhausted"),
                ("each/pick", "body", ""),
            ],
        ),
        (
            "both",
            [
                ("done", "next", ""),
                ("both/left/a", "body", "left"),
                ("both/right/sleep_1", "body", "right"),
            ],
        ),
        ("both/left/b", [("both/left/a", "resume", "resumed")]),
        ("done", []),
    ],
)
def test_edges(graph, source, edges):
    assert edges_of(graph, source) == edges


@pytest.mark.parametrize(
    ("source", "exits"),
    [
        ("each/pick", [("break", "goto")]),
        ("each/way", [("continue", "default")]),
        ("each/pack", [("end", "next")]),
        ("refuse", []),  # the compensation is written after it
        ("refund", []),  # nothing goes on after it
        ("done", []),  # it is an end itself
    ],
)
def test_exits(graph, source, exits):
    assert exits_of(graph, source) == exits


def test_edge_that_stands_in_a_goto():
    graph = export(define(flow(it=Call(lambda: goto("done")), b=Call(work), done=End())))

    assert edges_of(graph, "it") == [("b", "next", ""), ("done", "goto", "goto")]


def test_edge_to_what_is_reached_by_code_alone():
    def decide(state):
        return goto(state.ctx["b"] or "done")

    graph = export(define(flow(it=Call(decide), b=Call(work), end=End(), done=End())))

    assert edges_of(graph, "it") == [("b", "next", ""), ("done", "goto", "goto")]


def test_unknown_targets_are_left_out():
    graph = export(
        define(
            flow(
                it=Assign(a=1, next="nowhere"),
                b=Call(work, compensate="nothing"),
                each=Loop(over=[], do=[]),
            )
        )
    )

    assert edges_of(graph, "it") == []
    assert edges_of(graph, "b") == [("each", "next", "")]
    assert edges_of(graph, "each") == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Q(a__b=1), "a.b = 1"),
        (Q(a__gte=F("b__c")), "a ≥ $b.c"),
        (Q(a__in=[1, 2]), "a in [1, 2]"),
        (Q(a__isnull=True), "a is missing"),
        (Q(a__isnull=False), "a is not missing"),
        (Q(a__truthy=True), "a is truthy"),
        (Q(a=1, b="x"), "a = 1 and b = 'x'"),
        (Q(a=1) | Q(b=2), "a = 1 or b = 2"),
        ((Q(a=1) | Q(b=2)) & Q(c=3), "(a = 1 or b = 2) and c = 3"),
        (~Q(a=1), "not (a = 1)"),
        (~Q(a=1) & Q(b=2), "not (a = 1) and b = 2"),
        (work, "work"),
        (lambda state: True, "a function says so"),
        (methodcaller("is_express"), "methodcaller"),
    ],
)
def test_condition_as_people_read_it(source, words):
    assert condition_text(condition(source)) == words


# Text -------------------------------------------------------------------------------------------


def test_mermaid(graph):
    assert mermaid(graph).splitlines()[:12] == [
        "flowchart TD",
        '    n0["validate"]',
        '    n1{"amount"}',
        '    n2{{"review"}}',
        '    n3["charge"]',
        '    subgraph n4["each (loop)"]',
        '        n9["pick"]',
        '        n10{"way"}',
        '        n11["pack"]',
        "    end",
        '    subgraph n5["both (parallel)"]',
        '        subgraph n5_0["left"]',
    ]


@pytest.mark.parametrize(
    "line",
    [
        '    n0 -.->|"on error"| n7',
        '    n1 -->|"validate.total #62; 1000"| n2',
        "    n2 --> n3",
        '    n3 -.->|"undo"| n8',
        '    n9 -->|"goto"| x0(("break"))',
        '    n10 -->|"otherwise"| x1(("continue"))',
    ],
)
def test_mermaid_has(graph, line):
    assert line in mermaid(graph).splitlines()


def test_mermaid_draws_no_line_from_a_box_into_itself(graph):
    assert "n4 --> n9" not in mermaid(graph)


@pytest.mark.parametrize(
    "line",
    [
        'digraph "order" {',
        '    n1 [label="amount", shape=diamond];',
        "    subgraph cluster_n4 {",
        '        n4 [label="each (loop)", shape=plain];',
        '            n12 [label="a", shape=box];',
        '    n0 -> n7 [label="on error", style=dashed];',
        "    n2 -> n3;",
        "    n4 -> n9 [style=dotted];",
        '    n5 -> n12 [label="left", style=dotted];',
        '    x0 [shape=circle, label="break"];',
        '    n9 -> x0 [label="goto"];',
        "}",
    ],
)
def test_dot_has(graph, line):
    assert line in dot(graph).splitlines()


HOSTILE = "\"]; <script>alert(1)</script> & \\ #\n--> `x` \x00 ' end"


@pytest.fixture
def hostile():
    steps = [
        Router(When(Q(input__a=HOSTILE), then="it"), default=HOSTILE, name=HOSTILE),
        Call(work, name="it", description=HOSTILE),
        Parallel({HOSTILE: Call(work)}, name="both"),
    ]
    return export(
        WorkflowDefinition(
            id=HOSTILE,
            name=HOSTILE,
            version=HOSTILE,
            description=HOSTILE,
            graph=compile_graph(steps),
        )
    )


def test_mermaid_escapes(hostile):
    text = mermaid(hostile)

    assert not re.search(r"[<>&`]", re.sub(r"-->|-\.->|&#\d+;", "", text))
    assert all(line.count('"') in {0, 2} for line in text.splitlines())


def test_dot_escapes(hostile):
    strings = re.findall(r'"(?:[^"\\]|\\.)*"', dot(hostile))

    assert '"\\"]; <script>alert(1)</script> & \\\\ # --> `x` \0 \' end"' in strings
    assert "script" not in re.sub(r'"(?:[^"\\]|\\.)*"', "", dot(hostile))


# Picture ----------------------------------------------------------------------------------------


def test_picture_escapes(hostile):
    picture = drawn(hostile, taken=[HOSTILE], current=HOSTILE)

    assert picture.find(f"{SVG}title").text.startswith('"]; <script>')
    assert picture.findall(f".//{SVG}script") == []


def test_picture_holds_nothing_that_a_policy_forbids(graph):
    picture = drawn(graph, taken=["validate"], current="amount")

    assert {element.tag.removeprefix(SVG) for element in picture.iter()} == {
        *["svg", "title", "g", "rect", "polygon", "circle", "path", "text"]
    }
    names = {name for element in picture.iter() for name in element.attrib}
    assert not {name for name in names if name in {"style", "id"} or name.startswith("on")}
    assert not any("http" in value or "url(" in value for value in attributes(picture, "fill"))


def test_picture_is_an_image_with_a_name_that_scales(graph):
    picture = drawn(graph)

    assert picture.get("role") == "img"
    assert picture.get("aria-label") == "Workflow Order 2"
    assert picture.find(f"{SVG}title").text == "Order 2"
    assert picture.get("viewBox") == f"0 0 {picture.get('width')} {picture.get('height')}"


def test_picture_names_each_step(graph):
    picture = drawn(graph)

    for node in graph["nodes"]:
        title = step_of(picture, node["id"]).find(f"{SVG}title").text
        assert title.startswith(f"{node['id']} ({node['type']})")


def test_step_tells_its_description(graph):
    title = step_of(drawn(graph), "validate").find(f"{SVG}title").text

    assert title == "validate (call): Look at the lines."


def test_ink_is_that_of_the_page(graph):
    assert set(attributes(drawn(graph), "stroke")) == {"currentColor"}


def outlines(picture, path):
    """Return the outlines of a step, as pairs of tag and width of the border."""
    return [
        (element.tag.removeprefix(SVG), element.get("stroke-width"))
        for element in step_of(picture, path)
        if element.tag in {f"{SVG}rect", f"{SVG}polygon"}
    ]


def test_marks_differ_by_shape_and_not_by_colour_alone(graph):
    picture = drawn(graph, taken=["validate", "amount#2"], current="both/left/b")

    assert outlines(picture, "charge") == [("rect", "1.3")]
    assert outlines(picture, "validate") == [("rect", "2.4")]
    assert outlines(picture, "amount") == [("polygon", "2.4")]
    assert outlines(picture, "both") == [("rect", "2.4")]
    assert outlines(picture, "both/left/b") == [("polygon", "3.2"), ("polygon", "1.6")]
    assert [
        group.get("data-mark") for group in picture.iter(f"{SVG}g") if group.get("data-mark")
    ] == ["taken", "taken", "within", "current"]
    assert len(step_of(picture, "validate").findall(f".//{SVG}circle")) == 1
    assert step_of(picture, "charge").findall(f".//{SVG}circle") == []


def taken_lines(picture):
    return sum(element.get("stroke-width") == "2.6" for element in picture.iter(f"{SVG}path"))


@pytest.mark.parametrize(
    ("taken", "current", "lines"),
    [
        ([], None, 0),
        (["validate"], None, 1),  # from the start
        (["validate"], "amount", 2),
        (["validate", "amount", "review"], None, 4),  # a label parts the line in two
        (["each[0]/pick", "each[0]/way", "each[1]/pick", "each"], None, 1),
        (["each[0]/pick"], "each[0]/way", 1),
        (["charge"], "each[0]/pick", 1),
    ],
)
def test_path_taken_is_marked(graph, taken, current, lines):
    assert taken_lines(drawn(graph, taken=taken, current=current)) == lines


def test_unknown_paths_do_no_harm(graph):
    assert svg(graph, taken=["gone"], current="gone/too") == svg(graph)


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [Call(work)],
        [Start(name="begin"), End(name="done")],
        [Call(work, name="it", next="it", on_error="it")],
        [Call(work, name="a"), Call(work, name="b", next="a")],
        [Call(work, name="a", compensate="c"), End(name="b"), Call(work, name="c")],
        [
            Call(work, name="a"),
            Router(When(Q(a=1), then="a"), default="c", name="b"),
            End(name="c"),
        ],
        [Loop(over=[], do=[], name="each")],
        [Parallel(name="both", branches={})],
        [Loop(over=[], do=Call(work, name="x", next=FINISHED, on_error=FINISHED), name="each")],
        [Call(work, name="世界" * 30), Call(work, name="w" * 100)],
    ],
    ids=[
        *["none", "one", "start and end", "self", "two in a circle", "apart", "back by a label"],
        *["empty loop", "no branches", "explicit end", "long names"],
    ],
)
def test_every_graph_can_be_drawn(steps):
    definition = WorkflowDefinition(id="x", name="x", version="", graph=compile_graph(steps))
    graph = export(definition)

    picture = drawn(graph, taken=[node["id"] for node in graph["nodes"]])

    assert len(attributes(picture, "data-step")) == len(graph["nodes"])
    width, height = float(picture.get("width")), float(picture.get("height"))
    assert width > 0
    assert height > 0


def test_boxes_of_one_layer_do_not_overlap():
    sizes = {name: (40.0 + 37 * number % 90, 20.0) for number, name in enumerate("abcdefghij")}
    lines = [("a", name) for name in "bcdefgh"] + [("b", "i"), ("h", "i"), ("c", "j"), ("i", "a")]

    centres = layout(sizes, lines).centres

    layers = {}
    for name, (x, y) in centres.items():
        layers.setdefault(y, []).append((x - sizes[name][0] / 2, x + sizes[name][0] / 2))
    for boxes in layers.values():
        assert all(left[1] < right[0] for left, right in pairwise(sorted(boxes)))


def big(count):
    """Return the graph of a workflow of many steps, with ways forth and back."""
    steps = []
    for number in range(count):
        name, other = f"step_{number}", f"step_{number * 7 % count}"
        if number % 5 == 2:
            ahead = f"step_{min(number + 3, count - 1)}"
            routes = [When(Q(input__a=number), then=ahead), When(Q(input__b=1), then=other)]
            steps.append(Router(*routes, default=f"step_{number + 1}", name=name))
        else:
            rescue = f"step_{count - 1}" if number % 11 == 0 else None
            steps.append(Call(work, name=name, on_error=rescue))
    return export(WorkflowDefinition(id="big", name="Big", version="1", graph=compile_graph(steps)))


def test_two_hundred_steps_are_drawn_in_time():
    graph = big(200)
    began = time.process_time()

    svg(graph)

    assert time.process_time() - began < 2


def test_long_chain_needs_no_deep_recursion():
    steps = [Call(work, name=f"s{number}") for number in range(1500)]
    definition = WorkflowDefinition(id="x", name="x", version="1", graph=compile_graph(steps))

    assert svg(export(definition)).count("data-step") == 1500


def test_drawing_is_the_same_in_every_process():
    code = (
        "import django; django.setup()\n"
        "from tests.core.test_graph import Order, big, define, dot, export, mermaid, svg\n"
        "from hashlib import sha256\n"
        "graphs = export(define(Order)), big(40)\n"
        "texts = [kind(graph) for graph in graphs for kind in (svg, dot, mermaid)]\n"
        "print(sha256(''.join(texts).encode()).hexdigest())"
    )

    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(digests) == 1
