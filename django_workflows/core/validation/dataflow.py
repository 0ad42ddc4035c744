"""What the steps of a definition can be reached from, and which variables may be set there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from django_workflows.core.definition import Graph, WorkflowDefinition
from django_workflows.core.steps.base import Step
from django_workflows.core.validation.edges import edges
from django_workflows.core.validation.gotos import possible_targets

#: What the engine sets for the step that ``on_error`` names, and for those nested in it.
LAST_ERROR = "_last_error"

Names = frozenset[str]


@dataclass(frozen=True, slots=True)
class Reached:
    """A step that the flow can come to, with every ctx key that may be set when it does."""

    path: str
    step: Step
    names: Names


class Dataflow:
    """
    The ways through a definition, each taken for possible.

    A name counts as set where any way to the step sets it: too much rather than too little, so
    that what is missing is missing for certain.
    """

    def __init__(self, definition: WorkflowDefinition) -> None:
        self.graph = definition.graph

    @cached_property
    def everything(self) -> Names:
        """Return every ctx key that any step sets anywhere, names of loops included."""
        steps = [step for _, step, _ in self.graph.walk()]
        return frozenset(name for step in steps for name in (*step.sets(), *step.scope_sets()))

    @cached_property
    def reached(self) -> list[Reached]:
        """Return every step that can be reached, in the order in which they are written."""
        return list(self._reached(self.graph, "", frozenset()))

    def _reached(self, graph: Graph, prefix: str, entry: Names) -> Iterator[Reached]:
        arriving = self._arriving(graph, entry)
        for name in graph.steps:
            if name not in arriving:
                continue
            step, names = graph.steps[name], arriving[name]
            yield Reached(prefix + name, step, names)
            for scope, inner in step.scopes().items():
                before = names | {*step.scope_sets()}
                if step.breakable:  # each round finds what the rounds before it have set
                    before |= _set_by(inner)
                inner_prefix = f"{prefix}{name}/" + (f"{scope}/" if scope else "")
                yield from self._reached(inner, inner_prefix, before)

    def _arriving(self, graph: Graph, entry: Names) -> dict[str, Names]:
        """Return the names set on any way to each step of one scope that can be reached."""
        ways = {name: _ways(graph, name) for name in graph.steps}
        arriving: dict[str, Names] = {}
        todo = [(graph.first, entry)] if graph.first is not None else []
        if graph is self.graph:
            # Compensations run when anything may have been done, and outside the flow.
            todo += [(name, self.everything) for name in self.compensations if name in graph.steps]
        while todo:
            name, names = todo.pop()
            before = arriving.get(name)
            if before is not None and names <= before:
                continue
            arriving[name] = names = names | (before or frozenset())
            step = graph.steps[name]
            for target, failed in ways[name]:
                after = _after_failure(step, names) if failed else _after(step, names, entry)
                todo.append((target, after))
        return arriving

    @cached_property
    def compensations(self) -> list[str]:
        """Return the steps that undo others, in the order in which they are named."""
        named = (step.compensate for _, step, _ in self.graph.walk() if step.compensate)
        return list(dict.fromkeys(named))


def _ways(graph: Graph, name: str) -> list[tuple[str, bool]]:
    """Return where step ``name`` may go within its scope, and whether that is by its failure."""
    written = [(edge.target, edge.kind == "on_error") for edge in edges(graph, name)]
    gone = [(target, False) for target in possible_targets(graph.steps[name], graph.steps)]
    return [(target, failed) for target, failed in [*written, *gone] if target in graph.steps]


def _after(step: Step, names: Names, entry: Names) -> Names:
    # An error is gone once its step has run, but for those nested in such a step.
    return (names - ({LAST_ERROR} - entry) - {*step.scope_sets()}) | {*step.sets()}


def _after_failure(step: Step, names: Names) -> Names:
    """Return what is set where ``step`` failed: not its output, but what its nested steps did."""
    apart = step.parts()  # what those set never came here
    inner = (_set_by(graph) for scope, graph in step.scopes().items() if scope not in apart)
    return names.union({LAST_ERROR}, *inner)


def _set_by(graph: Graph) -> Names:
    return frozenset(name for step in graph.steps.values() for name in step.sets())
