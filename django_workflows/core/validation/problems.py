"""What a check of a definition is given, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from django_workflows.core.definition import BREAK, CONTINUE, FINISHED, Graph, WorkflowDefinition
from django_workflows.core.steps.base import Step
from django_workflows.core.validation.dataflow import Dataflow


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: a stable id for ``manage.py check``, and a sentence."""

    id: str
    message: str


@dataclass(frozen=True, slots=True)
class Scope:
    """One graph of a definition: the workflow itself, a loop's body or a parallel's branch."""

    graph: Graph
    prefix: str = ""
    holder: Step | None = None
    within: str = ""  # the path of the holder

    @property
    def ends(self) -> frozenset[str]:
        """Return the targets that are no steps."""
        breakable = self.holder is not None and self.holder.breakable
        return frozenset({FINISHED, BREAK, CONTINUE} if breakable else {FINISHED})

    def walk(self) -> Iterator[Scope]:
        """Yield this scope and all that are nested in it."""
        yield self
        for name, step in self.graph.steps.items():
            path = self.prefix + name
            for branch, graph in step.scopes().items():
                prefix = f"{path}/" + (f"{branch}/" if branch else "")
                yield from Scope(graph, prefix, step, path).walk()


class Subject:
    """A definition under examination, with what several checks want to know of it."""

    def __init__(self, definition: WorkflowDefinition) -> None:
        self.definition = definition
        self.flow = Dataflow(definition)
        self.scopes = list(Scope(definition.graph).walk())
        self.reached = frozenset(reached.path for reached in self.flow.reached)


Check = Callable[[Subject], Iterator[Problem]]


def at(path: str, number: str, message: str) -> Problem:
    """Return the problem ``number`` of the step at ``path``."""
    return Problem(f"workflows.{number}", f"step {path!r}: {message}")


def meant(name: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that hints at the name that was meant."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; there are: {', '.join(names) or 'none'}"
