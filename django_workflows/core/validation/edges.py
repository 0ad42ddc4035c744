"""The ways from step to step that a definition names, each with what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django_workflows.core.conditions import Condition
from django_workflows.core.definition import Graph
from django_workflows.core.steps.base import Step
from django_workflows.core.steps.data import Router

#: The kind of an edge, by the option of the step that names its target.
KINDS = {
    "next": "next",
    "on_error": "on_error",
    "default": "default",
    "on_reject": "reject",
    "on_timeout": "timeout",
    "on_exhausted": "exhausted",
    "resume_step": "resume",
    "compensate": "compensate",
}
_OPTIONS = tuple(KINDS)[2:-1]


@dataclass(frozen=True, slots=True)
class Edge:
    """A way from a step to ``target``, a step of the same scope or the name of an end."""

    target: str
    kind: str
    test: Condition | None = None  # of a route

    @property
    def option(self) -> str:
        """Return the option of the step that names it."""
        return next((option for option, kind in KINDS.items() if kind == self.kind), self.kind)


def edges(graph: Graph, name: str) -> Iterator[Edge]:
    """Yield every way out of step ``name`` that is written down; what ends the scope has none."""
    step = graph.steps[name]
    following = graph.follow[name]
    if following is not None:
        yield Edge(following, "next")
    yield from _chosen(step)
    if step.on_error is not None:
        yield Edge(step.on_error, "on_error")


def _chosen(step: Step) -> Iterator[Edge]:
    """Yield the targets that the step chooses among."""
    known = []
    if isinstance(step, Router):
        known = [Edge(target, "route", test) for test, target in step.routes]
    for option in _OPTIONS:
        target = getattr(step, option, None)
        if target is not None:
            known.append(Edge(target, KINDS[option]))
    yield from known
    told = {edge.target for edge in known}
    # A kind of the author's own may have options of other names.
    yield from (Edge(target, "route") for target in step.targets() if target not in told)


def may_end(graph: Graph, name: str) -> bool:
    """Say whether the scope ends after step ``name`` where the step names no other way."""
    return graph.follow[name] is None and not graph.steps[name].chooses
