"""What an author writes: a Workflow class, registered."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from enum import Enum
from typing import Any, ClassVar, Protocol, TypeVar

from django_workflows.core import codec
from django_workflows.core.definition import (
    STEP,
    WorkflowDefinition,
    compile_graph,
    find_definition,
    source_of,
)
from django_workflows.core.execution import Execution, ExecutionResult
from django_workflows.core.inputs import AnyInput, DataclassInput, InputSpec
from django_workflows.core.registry import Registry
from django_workflows.core.steps.base import Step
from django_workflows.core.validation import problems
from django_workflows.exceptions import ConfigurationError, DefinitionError, UnknownWorkflow


class Hooks(Protocol):
    """What api.py lends to Workflow.start() and .run()."""

    def start(self, workflow: type[Workflow], input: Mapping[str, Any]) -> Execution:
        """See api.start()."""

    def run(self, workflow: type[Workflow], input: Mapping[str, Any]) -> ExecutionResult:
        """See api.run()."""


class Workflow:
    """
    The base of every workflow: its steps are class attributes, in the order of the class body.

    ``id`` is the class name in snake case unless given. ``timeout``, in seconds or a timedelta,
    bounds the whole run, waits included. A nested dataclass ``Input`` says what it takes; without
    one any mapping is taken.

    With ``durability = "halt"`` nothing is written between two rests (a halt, a wait, a child, an
    ``atomic`` step, the end): quicker, and after a crash all steps since the last one run again.
    """

    id: ClassVar[str] = ""
    name: ClassVar[str] = ""
    version: ClassVar[str] = "1"
    timeout: ClassVar[float | timedelta | None] = None
    durability: ClassVar[str] = STEP
    definition: ClassVar[WorkflowDefinition]  # set by @register

    @classmethod
    def start(cls, **input: Any) -> Execution:
        """Start an execution; it is queued when the transaction commits. See api.start()."""
        return _hooks().start(cls, input)

    @classmethod
    def run(cls, **input: Any) -> ExecutionResult:
        """Run an execution here and now, in this process. See api.run()."""
        return _hooks().run(cls, input)


W = TypeVar("W", bound=type[Workflow])


class Workflows(Registry[WorkflowDefinition]):
    """The definitions by workflow id; their parts, as children run them, are found as well."""

    def add(
        self,
        name: str,
        item: WorkflowDefinition,
        *,
        same: Callable[[WorkflowDefinition, WorkflowDefinition], bool] | None = None,
    ) -> WorkflowDefinition:
        """See Registry.add(). No workflow may have the id of another's part."""
        taken = {part: whole for whole in self.values() for part in whole.parts}
        clashes = [(name, taken[name])] if name in taken else []
        clashes += [(part, item) for part in item.parts if part in list(self)]
        for part, whole in clashes:
            raise ConfigurationError(
                f"The workflow id {part!r} is that of children which {whole!r} starts; give the"
                " other workflow, or the step, another name."
            )
        return super().add(name, item, same=same)

    def whole(self, name: str) -> WorkflowDefinition:
        """Return what is registered under ``name`` itself, no part. Raise UnknownWorkflow."""
        return super().__getitem__(name)

    def ids(self) -> list[str]:
        """Return every id that an execution may have: of the workflows, and of their parts."""
        return sorted(part for whole in self.values() for part in (whole.id, *whole.parts))

    def __getitem__(self, name: str) -> WorkflowDefinition:
        return find_definition(name, self.whole)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self[name])
        except UnknownWorkflow:
            return False


registry = Workflows("workflow id", UnknownWorkflow)

_installed: list[Hooks] = []


def install(hooks: Hooks) -> None:
    """Let Workflow.start() and .run() reach ``hooks``; called by api.py."""
    _installed[:] = [hooks]


def _hooks() -> Hooks:
    if not _installed:
        raise ConfigurationError("Import django_workflows before a workflow is started.")
    return _installed[0]


def register(workflow: W) -> W:
    """
    Compile, validate and register a workflow class, and return it.

    Raise DefinitionError with every problem, ConfigurationError where the id is taken; then
    nothing is registered.
    """
    workflow.id = workflow.__dict__.get("id") or snake_case(workflow.__name__)
    definition = compile_workflow(workflow)
    found = problems(definition)
    if found:
        raise DefinitionError(definition.id, [problem.message for problem in found])
    registry.add(definition.id, definition, same=_same_source)
    _register_enums(workflow)
    workflow.definition = definition
    return workflow


def compile_workflow(workflow: type[Workflow]) -> WorkflowDefinition:
    """Return the definition that a class body describes; raise DefinitionError."""
    steps = _top_level(workflow)
    identifier = workflow.id or snake_case(workflow.__name__)
    hidden = [name for name in steps if name in _RESERVED]
    if hidden:
        raise DefinitionError(
            identifier,
            [f"step {name!r} would hide Workflow.{name}; give it another name" for name in hidden],
        )
    graph = compile_graph(list(steps.values()))
    instance = workflow()
    bound = {name: step.bound(instance) for name, step in graph.steps.items()}
    return WorkflowDefinition(
        id=identifier,
        name=workflow.name or workflow.__name__,
        version=workflow.version,
        description=inspect.getdoc(workflow) or "" if workflow.__doc__ else "",
        timeout=_bound(workflow.timeout),
        durability=workflow.durability,
        graph=replace(graph, steps=bound),
        input=_input(workflow),
        source=source_of(workflow),
        workflow=workflow,
    )


def _top_level(workflow: type[Workflow]) -> dict[str, Step]:
    """Return the steps of the class and its bases, without those that others hold."""
    found: dict[str, Step] = {}
    for owner in reversed(workflow.__mro__):
        for name, value in owner.__dict__.items():
            if isinstance(value, Step):
                found[name] = value
            elif name in found:
                del found[name]  # a subclass dropped it: ``review = None``
    held = {id(inner) for step in found.values() for inner in _descendants(step)}
    return {name: _named(name, step) for name, step in found.items() if id(step) not in held}


def _named(name: str, step: Step) -> Step:
    # A step shared by two classes has the name of the first; each class has its own copy.
    return step if step.name == name else step.compiled(name)


def _descendants(step: Step) -> list[Step]:
    return [inner for child in step.children() for inner in (child, *_descendants(child))]


def _input(workflow: type[Workflow]) -> InputSpec:
    declared = getattr(workflow, "Input", None)
    return AnyInput() if declared is None else DataclassInput(declared)


def _same_source(old: WorkflowDefinition, new: WorkflowDefinition) -> bool:
    """Say whether both were written at one place: a module that was loaded again."""
    return bool(old.source) and old.source == new.source


def _register_enums(workflow: type[Workflow]) -> None:
    """Make the enums that the workflow's module and its steps' closures mention storable."""
    module = sys.modules.get(workflow.__module__)
    mentioned = [*vars(module).values()] if module else []
    for value in vars(workflow).values():
        function = getattr(value, "__wrapped__", None)
        for cell in getattr(function, "__closure__", None) or ():
            with suppress(ValueError):  # not filled yet, such as the name of the class itself
                mentioned.append(cell.cell_contents)
    for value in mentioned:
        if isinstance(value, type):
            for candidate in (value, *vars(value).values()):
                if isinstance(candidate, type) and issubclass(candidate, Enum):
                    codec.register_enum(candidate)


def snake_case(name: str) -> str:
    """Return ``OrderFulfilment`` as ``order_fulfilment``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


_RESERVED = frozenset(name for name in dir(Workflow) if not name.startswith("__")) | {
    "Input",
    "definition",
}


def _bound(timeout: Any) -> Any:
    """Return a number of seconds as a timedelta; the rest is for validation to look at."""
    is_number = isinstance(timeout, (int, float)) and not isinstance(timeout, bool)
    try:
        return timedelta(seconds=timeout) if is_number else timeout
    except (ValueError, OverflowError):  # NaN, and more than there are days for
        return timeout
