"""The immutable graph compiled from a class or a YAML document; all that the engine sees."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django_workflows.core.frames import Cursor
from django_workflows.core.inputs import AnyInput, InputSpec
from django_workflows.core.records import evolve
from django_workflows.exceptions import StepError

if TYPE_CHECKING:
    from django_workflows.core.steps.base import Step

#: Targets inside a loop's body that are no steps: end the loop, or this round of it.
BREAK, CONTINUE = "break", "continue"

#: The target that ends the scope it stands in, as documents write it.
FINISHED = "__FINISHED__"

#: How the workflow's own scope ends where it is cancelled, and what it did is to be undone first.
CANCELLED = "cancelled"

#: How a scope ends, by the target that ends it; None is the end of its steps.
_ENDS = {None: "end", FINISHED: "end", BREAK: BREAK, CONTINUE: CONTINUE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The steps of one scope, in order, and where each goes by default."""

    steps: Mapping[str, Step]
    follow: Mapping[str, str | None]
    cyclic: frozenset[str] = frozenset()  # steps that the flow can come back to
    duplicates: tuple[str, ...] = ()  # names taken twice; validation refuses them
    breakable: bool = False  # the body of a loop: "break" and "continue" may be gone to

    @property
    def first(self) -> str | None:
        """Return the step at which the scope begins."""
        return next(iter(self.steps), None)

    def successors(self, name: str) -> list[str]:
        """Return every step of this scope that may come after ``name``."""
        step = self.steps[name]
        named = [self.follow[name] or "", step.on_error or "", *step.targets()]
        return [target for target in dict.fromkeys(named) if target in self.steps]

    def advance(self, cursor: Cursor, target: str | None, *, rescue: bool = False) -> Cursor:
        """Return ``cursor`` moved to ``target``; raise StepError where there is no such step."""
        if target is not None and target in self.steps:
            visits = self._visits(cursor, target)
            moved: dict[str, Any] = {"at": target, "visits": visits, "rescue": rescue}
        elif target in _ENDS and (self.breakable or target not in {BREAK, CONTINUE}):
            moved = {"end": _ENDS[target], "rescue": False}
        else:
            known = ", ".join(self.steps)
            raise StepError(f"There is no step {target!r} to go to here; there are: {known}.")
        return evolve(cursor, attempt=1, frame=None, outer_error=None, **moved)

    def _visits(self, cursor: Cursor, target: str) -> Mapping[str, int]:
        """Return how often each step was entered, once ``target`` is; see Cursor.visits."""
        if target in self.cyclic:
            return {**cursor.visits, target: cursor.visits.get(target, 0) + 1}
        if cursor.at is None or cursor.at not in self.steps:
            return cursor.visits
        if target in self.successors(cursor.at):
            return cursor.visits  # a declared way, and on no circle
        order = list(self.steps)
        below, onward = order[order.index(target) :], reachable(self, [target])
        if cursor.at not in below and cursor.at not in onward:
            return cursor.visits
        # A goto() back, which the graph does not show: whatever it comes by from here on is another
        # visit, with an idempotency key of its own.
        again = {*below, *onward} - self.cyclic
        return {**cursor.visits, **{name: cursor.visits.get(name, 1) + 1 for name in sorted(again)}}

    def bound(self, workflow: object) -> Graph:
        """Return the graph with the methods of its steps bound; see Step.bound()."""
        return replace(
            self, steps={name: step.bound(workflow) for name, step in self.steps.items()}
        )

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Step, Graph]]:
        """Yield path, step and scope of each step, nested ones after the step that holds them."""
        for name, step in self.steps.items():
            yield prefix + name, step, self
            for scope, graph in step.scopes().items():
                inner = f"{prefix}{name}/" + (f"{scope}/" if scope else "")
                yield from graph.walk(inner)


#: When a workflow is written: after each step with effects, or when it rests.
STEP, HALT = DURABILITIES = ("step", "halt")


# By identity: it holds mappings, and must do as the sender of a signal.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class WorkflowDefinition:
    """A workflow as the engine sees it."""

    id: str
    name: str
    version: str
    description: str = ""
    timeout: timedelta | None = None
    durability: str = STEP
    graph: Graph
    input: InputSpec = field(default_factory=AnyInput)
    source: str = ""  # where it was written, for messages
    workflow: type | None = None  # the class it was compiled from; None for a document
    whole_ctx_result: bool = False  # documents: an end without a result yields the ctx
    keeps_undeclared: bool = False  # documents: a reference that nothing sets is no mistake
    part_of: WorkflowDefinition | None = None  # where it is what the children of a step run
    #: What children run that one of its steps starts: the body of a ForEach, a branch of a
    #: distributed Parallel. By the workflow id of such a child: ``order/each_line``.
    parts: dict[str, WorkflowDefinition] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        if self.part_of is not None:
            return
        for path, step, _ in self.graph.walk():
            for scope, graph in step.parts().items():
                identifier = "/".join(filter(None, [self.id, path, scope]))
                self.parts[identifier] = replace(
                    self,
                    id=identifier,
                    graph=graph,
                    input=AnyInput(),  # that of the whole was checked
                    timeout=None,
                    workflow=None,  # who listens to the class is told of its own executions
                    whole_ctx_result=False,
                    part_of=self,
                )

    def __repr__(self) -> str:
        written = f" written at {self.source}" if self.source else ""
        return f"<WorkflowDefinition {self.id!r} version {self.version!r}{written}>"

    def step_at(self, path: str) -> Step | None:
        """Return the step at ``path``, with or without the indexes of iterations, or None."""
        wanted = plain_path(path)
        for name, step, _ in self.graph.walk():
            if name == wanted:
                return step
        return None

    @property
    def fans_out(self) -> bool:
        """Say whether a step of it starts a group of children, which must not be left alone."""
        return any(step.fans_out for _, step, _ in self.graph.walk())

    @property
    def has_children(self) -> bool:
        """Say whether one of its steps may start child executions."""
        return any(step.fans_out or any(step.workflows()) for _, step, _ in self.graph.walk())

    @property
    def undoing(self) -> Graph:
        """Return the graph whose steps undo others: that of the whole, also for a part."""
        return self.graph if self.part_of is None else self.part_of.graph

    def to_dict(self) -> dict[str, Any]:
        """Return what core.graph.export() makes of it, as it is kept per version."""
        from django_workflows.core.graph import export  # it builds on this module

        return export(self)


def find_definition(
    workflow_id: str, lookup: Callable[[str], WorkflowDefinition]
) -> WorkflowDefinition:
    """
    Return what ``lookup`` has under an id, or the part that another has under it.

    Raise the LookupError that ``lookup`` raises.
    """
    try:
        return lookup(workflow_id)
    except LookupError:
        names = workflow_id.split("/")
        for end in range(len(names) - 1, 0, -1):
            with suppress(LookupError):
                found = lookup("/".join(names[:end]))
                return (found.part_of or found).parts[workflow_id]
        raise


def plain_path(path: str) -> str:
    """Return a path without iterations and visits: ``each[3]/pay#2`` is ``each/pay``."""
    return "/".join(part.partition("[")[0].partition("#")[0] for part in path.split("/"))


def compile_graph(steps: Sequence[Step], *, follow: bool = True, breakable: bool = False) -> Graph:
    """
    Return the graph of ``steps``.

    With ``follow``, a step without ``next`` goes to the one written after it, as in a class body;
    otherwise it ends the scope, as in a document. ``breakable`` is the body of a loop.
    """
    names = _names(steps)
    compiled = {
        name: step.compiled(name, follow=follow) for name, step in zip(names, steps, strict=True)
    }
    following = dict(zip(names, [*names[1:], None], strict=True)) if names else {}
    default = {
        name: None
        if step.terminal or step.chooses
        else _follow(step, following[name] if follow else None)
        for name, step in compiled.items()
    }
    duplicates = tuple(name for name, count in Counter(names).items() if count > 1)
    graph = Graph(steps=compiled, follow=default, duplicates=duplicates, breakable=breakable)
    return replace(graph, cyclic=_cyclic(graph))


def _follow(step: Step, following: str | None) -> str | None:
    if step.next in {FINISHED, BREAK, CONTINUE}:
        return step.next
    return step.next or following


def _names(steps: Sequence[Step]) -> list[str]:
    """Return the steps' names; a nameless one in a list is named after its kind and place."""
    return [
        step.name or step.suggested_name() or f"{step.type}_{position}"
        for position, step in enumerate(steps, start=1)
    ]


def _cyclic(graph: Graph) -> frozenset[str]:
    """Return the steps from which the flow can come back to themselves."""
    place = {name: position for position, name in enumerate(graph.steps)}
    if all(place[after] > place[name] for name in place for after in graph.successors(name)):
        return frozenset()  # the flow only goes down the page
    return frozenset(
        name for name in graph.steps if name in reachable(graph, graph.successors(name))
    )


def reachable(graph: Graph, starts: Sequence[str]) -> set[str]:
    """Return every step that the flow can come to from ``starts``, these included."""
    seen: set[str] = set()
    todo = list(starts)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(graph.successors(name))
    return seen


def source_of(obj: object) -> str:
    """Return the file and line that ``obj`` was written at, or nothing where Python cannot say."""
    try:
        return f"{inspect.getsourcefile(obj)}:{inspect.getsourcelines(obj)[1]}"  # type: ignore[arg-type]
    except (OSError, TypeError):
        return ""
