"""
The list that a fan-out goes over, and why its children do not have it.

Each child has the data of its parent. Were the list among it, ten thousand items would be written
ten thousand times.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from django_workflows.core.definition import Graph
from django_workflows.core.execution import State
from django_workflows.core.expressions import ROOTS, Reference, whole_reference


def place(reference: Reference) -> tuple[str, ...]:
    """Return where a reference leads, with "ctx" written out."""
    return reference.path if reference.root in ROOTS else ("ctx", *reference.path)


def without_list(over: Any, state: State) -> State:
    """Return ``state`` without what ``over`` refers to, where it is a reference."""
    reference = whole_reference(over)
    if reference is None:
        return state
    root, *path = place(reference)
    if root == "input":
        return replace(state, input=_without(state.input, path))
    return replace(state, ctx=_without(state.ctx, path)) if root == "ctx" else state


def readers(over: Any, body: Graph, names: Iterable[str]) -> Iterator[str]:
    """
    Yield the paths of the steps in ``body`` that read the list which ``over`` refers to.

    ``names`` are variables that a child has of its own.
    """
    reference = whole_reference(over)
    if reference is None:
        return
    there = place(reference)
    steps = [(path, step) for path, step, _ in body.walk()]
    own = {*names, *(key for _, step in steps for key in (*step.sets(), *step.scope_sets()))}
    if there[0] == "ctx" and own & {*there[1:2]}:
        return
    for path, step in steps:
        if any(place(found)[: len(there)] == there for found in step.references()):
            yield path


def _without(data: Any, path: Sequence[str]) -> Any:
    """Return ``data`` without what ``path`` leads to."""
    if not path or not isinstance(data, Mapping) or path[0] not in data:
        return data
    kept = {key: value for key, value in data.items() if key != path[0]}
    return {**kept, path[0]: _without(data[path[0]], path[1:])} if path[1:] else kept
