"""Circles of steps that no way leads out of."""

from __future__ import annotations

from collections.abc import Mapping

from django_workflows.core.definition import Graph
from django_workflows.core.validation.edges import edges, may_end
from django_workflows.core.validation.gotos import possible_targets

Ways = Mapping[str, set[str]]


def endless(graph: Graph) -> list[tuple[str, ...]]:
    """Return the circles of one scope that, once entered, none of their steps leaves."""
    ways = {
        name: {edge.target for edge in edges(graph, name)}
        | {*possible_targets(graph.steps[name], graph.steps)}
        for name in graph.steps
    }
    caught = graph.steps.keys() - _leaving(graph, ways)
    after = {name: _all_after(name, ways) for name in graph.steps if name in caught}
    circles = (
        tuple(other for other in after if other in after[name] and name in after[other])
        for name in after
    )
    return [circle for circle in dict.fromkeys(circles) if circle]


def _leaving(graph: Graph, ways: Ways) -> set[str]:
    """Return the steps from which some way comes to an end."""
    leaving = {
        name
        for name, targets in ways.items()
        # A target that is not there is another problem; here it counts as an end.
        if may_end(graph, name) or not targets or not targets <= graph.steps.keys()
    }
    found = leaving
    while found:
        found = {name for name, targets in ways.items() if targets & leaving} - leaving
        leaving |= found
    return leaving


def _all_after(start: str, ways: Ways) -> set[str]:
    found: set[str] = set()
    todo = [*ways[start]]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(ways[name])
    return found
