"""
The graph of a definition as plain data, and as text that others draw.

``export()`` is what is kept of every version, so that an old execution is drawn as it ran; the
other functions take what it returns and need no definition any more.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.db.models import F

from django_workflows.core.conditions import Combined, Condition, Test
from django_workflows.core.definition import BREAK, CONTINUE, FINISHED, Graph, WorkflowDefinition
from django_workflows.core.expressions import Reference
from django_workflows.core.graph.svg import svg
from django_workflows.core.graph.text import dot, mermaid
from django_workflows.core.steps.base import Step
from django_workflows.core.validation.edges import edges, may_end
from django_workflows.core.validation.gotos import named_targets, possible_targets
from django_workflows.core.validation.problems import Scope

__all__ = ["dot", "export", "mermaid", "svg"]

_LABELS = {
    "next": "",
    "on_error": "on error",
    "default": "otherwise",
    "reject": "rejected",
    "timeout": "timeout",
    "exhausted": "exhausted",
    "resume": "resumed",
    "compensate": "undo",
    "goto": "goto",
}
_SYMBOLS = {"exact": "=", "gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}
_ENDS = {FINISHED: "end", BREAK: "break", CONTINUE: "continue"}


def export(definition: WorkflowDefinition) -> dict[str, Any]:
    """
    Return the nodes and edges of ``definition`` as plain JSON data.

    A node's ``id`` is the path of its step, its ``scope`` the scope it stands in: "" at the top,
    ``each`` in the body of the loop of that name, ``both/a`` in a branch. An edge has ``from``,
    ``to``, ``kind`` and ``label``; an exit is an edge whose ``to`` is "end", "break" or "continue".
    """
    nodes: list[dict[str, Any]] = []
    ways: list[dict[str, str]] = []
    undoing = {step.compensate for _, step, _ in definition.graph.walk() if step.compensate}
    for scope in Scope(definition.graph).walk():
        nodes += [_node(scope, name, step) for name, step in scope.graph.steps.items()]
        ways += _ways(scope, undoing if scope.holder is None else ())
    known = {node["id"] for node in nodes}
    return {
        "id": definition.id,
        "name": definition.name,
        "version": definition.version,
        "description": definition.description,
        "nodes": nodes,
        "edges": [way for way in ways if way["to"] in known],
        "exits": [
            {**way, "to": _ENDS[way["to"]]}
            for way in ways
            if way["to"] in _ENDS and way["to"] not in known
        ],
    }


def _node(scope: Scope, name: str, step: Step) -> dict[str, Any]:
    path = scope.prefix + name
    return {
        "id": path,
        "name": name,
        "type": step.type,
        "shape": _shape(step),
        "description": step.description,
        "scope": scope.prefix.rstrip("/"),
        "scopes": [f"{path}/{inner}".rstrip("/") for inner in step.scopes()],
    }


def _shape(step: Step) -> str:
    if step.scopes():
        return "group"
    if step.chooses:
        return "decision"
    if step.waits:
        return "wait"
    return "terminal" if step.terminal or step.type == "start" else "task"


def _ways(scope: Scope, undoing: Collection[str]) -> list[dict[str, str]]:
    """Return what leads from the steps of one scope to others, and into their own scopes."""
    found = [
        _way(scope, name, target, kind, label)
        for name in scope.graph.steps
        for target, kind, label in _written(scope.graph, name, undoing)
    ]
    told = {way["to"] for way in found} | {scope.prefix + str(scope.graph.first), *undoing}
    # What nothing written leads to is reached by code; then a mere text in it tells from where.
    hidden = [name for name in scope.graph.steps if scope.prefix + name not in told]
    found += [
        _way(scope, name, target, "goto", _LABELS["goto"])
        for name, step in scope.graph.steps.items()
        for target in possible_targets(step, hidden)
    ]
    return found


def _way(scope: Scope, name: str, target: str, kind: str, label: str) -> dict[str, str]:
    is_step = target in scope.graph.steps or kind == "body"
    to = scope.prefix + target if is_step and kind != "compensate" else target
    return {"from": scope.prefix + name, "to": to, "kind": kind, "label": label}


def _written(graph: Graph, name: str, undoing: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """Yield target, kind and label of every way out of one step."""
    step = graph.steps[name]
    for edge in edges(graph, name):
        label = condition_text(edge.test) if edge.test else _LABELS.get(edge.kind, "")
        yield edge.target, edge.kind, label
    if may_end(graph, name) and not step.terminal and name not in undoing:
        yield FINISHED, "next", ""
    for target in named_targets(step):
        yield target, "goto", _LABELS["goto"]
    for branch, inner in step.scopes().items():
        if inner.first is not None:
            yield "/".join(filter(None, [name, branch, inner.first])), "body", branch
    if step.compensate is not None:
        yield step.compensate, "compensate", _LABELS["compensate"]


def condition_text(test: Condition) -> str:
    """Return a condition as people read it: ``validate.total > 1000``."""
    if isinstance(test, Test):
        path = ".".join(test.reference.path)
        if test.lookup in {"isnull", "empty", "truthy"}:
            word = "missing" if test.lookup == "isnull" else test.lookup
            return f"{path} is {'' if test.value else 'not '}{word}"
        value = Reference.of(test.value) if isinstance(test.value, F) else repr(test.value)
        return f"{path} {_SYMBOLS.get(test.lookup, test.lookup)} {value}"
    if isinstance(test, Combined):
        texts = [_part(child, alone=len(test.children) == 1) for child in test.children]
        joined = f" {test.connector.lower()} ".join(texts)
        return f"not ({joined})" if test.negated else joined
    function = getattr(test, "function", test)
    name = getattr(function, "__name__", type(function).__name__)
    return "a function says so" if name == "<lambda>" else str(name)


def _part(test: Condition, *, alone: bool) -> str:
    several = isinstance(test, Combined) and len(test.children) > 1 and not test.negated
    return f"({condition_text(test)})" if several and not alone else condition_text(test)
