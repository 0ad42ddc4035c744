"""Replace what steps do, for one test."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django_workflows.core.definition import Graph, WorkflowDefinition
from django_workflows.core.execution import State
from django_workflows.core.steps import Call, ForEach, Loop, Parallel, Step
from django_workflows.core.workflow import Workflow, registry
from django_workflows.exceptions import ConfigurationError


@contextmanager
def fake_steps(workflow: type[Workflow] | str, **fakes: Any) -> Iterator[dict[str, list[State]]]:
    """
    Let each named step return a value, or call a function of the state, instead of doing its work.

    An exception, or a class of them, is raised. Yields the states with which each was called.
    Steps nested in others are named by their path with ``__`` for the slash.
    """
    workflow_id = workflow if isinstance(workflow, str) else workflow.id
    real = registry[workflow_id]
    calls: dict[str, list[State]] = {name: [] for name in fakes}
    wanted = {name.replace("__", "/"): name for name in fakes}
    graph = _faked(real.graph, "", wanted, fakes, calls)
    unknown = [name for path, name in wanted.items() if real.step_at(path) is None]
    if unknown:
        raise ConfigurationError(f"{workflow_id!r} has no step {', '.join(unknown)} to fake.")
    _install(workflow, replace(real, graph=graph))
    try:
        yield calls
    finally:
        _install(workflow, real)


def _install(workflow: type[Workflow] | str, definition: WorkflowDefinition) -> None:
    registry.remove(definition.id)
    registry.add(definition.id, definition)
    owner = definition.workflow if isinstance(workflow, str) else workflow
    if owner is not None:
        owner.definition = definition  # type: ignore[attr-defined]


def _faked(
    graph: Graph,
    prefix: str,
    wanted: dict[str, str],
    fakes: dict[str, Any],
    calls: dict[str, list[State]],
) -> Graph:
    steps = {}
    for name, step in graph.steps.items():
        path = f"{prefix}{name}"
        fake = wanted.get(path)
        if fake is not None:
            steps[name] = _fake(step, fakes[fake], calls[fake])
            continue
        inner = {
            scope: _faked(nested, f"{path}/{scope}/" if scope else f"{path}/", wanted, fakes, calls)
            for scope, nested in step.scopes().items()
        }
        steps[name] = _holding(step, inner)
    return replace(graph, steps=steps)


def _holding(step: Step, scopes: dict[str, Graph]) -> Step:
    """Return a copy of ``step`` that holds the graphs ``scopes``."""
    held = copy.copy(step)
    if isinstance(held, (ForEach, Loop)) and scopes:
        held.body = scopes[""]
    elif isinstance(held, Parallel):
        held.graphs = scopes
    return held


def _fake(step: Step, fake: Any, calls: list[State]) -> Step:
    def work(state: State) -> Any:
        calls.append(state)
        if isinstance(fake, BaseException) or _is_error(fake):
            raise fake
        return fake(state) if callable(fake) else fake

    stand_in = Call(
        work, name=step.name, next=step.next, on_error=step.on_error, output=step.output_key
    )
    stand_in = stand_in.compiled(step.name)
    stand_in.retry, stand_in.compensate, stand_in.atomic = step.retry, step.compensate, step.atomic
    return stand_in


def _is_error(fake: Any) -> bool:
    return isinstance(fake, type) and issubclass(fake, BaseException)
