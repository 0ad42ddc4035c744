"""Which way an execution has gone through its graph, as a picture and as rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_workflows import wiring
from django_workflows.core.definition import WorkflowDefinition, plain_path
from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.graph import export
from django_workflows.core.graph import svg as drawn
from django_workflows.core.graph.shapes import Mark
from django_workflows.core.graph.trace import Trace
from django_workflows.core.waits import Wait, WaitStatus
from django_workflows.core.workflow import registry
from django_workflows.pictures.drawing import trusted

_DONE = {EntryAction.COMPLETED, EntryAction.SKIPPED}
_FAILED = {EntryAction.FAILED, EntryAction.TIMED_OUT}

_MARKS: dict[EntryAction, Mark] = {
    EntryAction.SKIPPED: "skipped",
    EntryAction.COMPENSATED: "undone",
    EntryAction.FAILED: "failed",
    EntryAction.TIMED_OUT: "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphRow:
    """One step of a graph, and what has become of it."""

    step: str  # its path, without the numbers of iterations
    kind: str  # of the step: ``call``, ``approval``
    mark: Mark  # the same for programs: "taken", "current", "waiting", "failed", "undone", ...
    state: str  # in words; nothing where the execution has not come there
    visits: int  # how often it was done
    goes_to: tuple[str, ...]  # the steps that may follow, each with its condition


@dataclass(frozen=True, slots=True)
class _Way:
    """The way of one execution, as the core draws it."""

    taken: tuple[str, ...]
    current: str | None
    marks: Mapping[str, Mark]
    visits: Mapping[str, int]


def of_execution(execution: Execution) -> dict[str, Any] | None:
    """
    Return the graph that ``execution`` runs by, as core.graph.export() writes it.

    It is that of its version, as it was kept; where none was, that of the registered workflow if
    this is of the same version, else None.
    """
    kept = wiring.store().graph(execution.workflow_id, execution.workflow_version)
    if kept and "nodes" in kept:
        return kept
    if execution.workflow_id not in registry:
        return None
    definition = registry[execution.workflow_id]
    return export(definition) if definition.version == execution.workflow_version else None


def svg(execution: Execution, entries: Iterable[Entry], waits: Iterable[Wait]) -> SafeString:
    """
    Return the graph of an execution's version, with its way marked by colour and by shape.

    An empty text where the graph is not known any more; see of_execution().
    """
    found = of_execution(execution)
    if found is None:
        return trusted("")
    way = _way(execution, entries, waits)
    return trusted(
        drawn(
            found,
            taken=way.taken,
            current=way.current,
            marks=way.marks,
            visits=way.visits,
            said=_words(),
        )
    )


def of_workflow(definition: WorkflowDefinition) -> SafeString:
    """Return the graph of a workflow, with nothing marked."""
    return trusted(drawn(export(definition)))


def rows(execution: Execution, entries: Iterable[Entry], waits: Iterable[Wait]) -> list[GraphRow]:
    """
    Return what the picture shows as rows for a table, in the order of the workflow's steps.

    Where the graph is not known any more, the steps that the history tells of.
    """
    known = list(entries)
    way = _way(execution, known, waits)
    found = of_execution(execution)
    if found is None:
        kinds = {_place(entry, way.taken)[0]: entry.step_type for entry in known}
        return [_row(step, kind, way, ()) for step, kind in kinds.items() if step]
    return _rows(found, way)


def rows_of_graph(graph: Mapping[str, Any]) -> list[GraphRow]:
    """Return the rows of an exported graph with nothing marked; see rows()."""
    return _rows(graph, _Way((), None, {}, {}))


def _rows(graph: Mapping[str, Any], way: _Way) -> list[GraphRow]:
    targets: dict[str, list[str]] = {}
    for edge in [*graph["edges"], *graph["exits"]]:
        words = f"{edge['to']} ({edge['label']})" if edge["label"] else edge["to"]
        targets.setdefault(edge["from"], []).append(words)
    return [
        _row(node["id"], node["type"], way, tuple(dict.fromkeys(targets.get(node["id"], ()))))
        for node in graph["nodes"]
    ]


def _row(step: str, kind: str, way: _Way, goes_to: tuple[str, ...]) -> GraphRow:
    mark = Trace(way.taken, way.current, way.marks).mark(step)
    return GraphRow(
        step=step,
        kind=kind,
        mark=mark,
        state=_words()[mark],
        visits=way.visits.get(step, 0),
        goes_to=goes_to,
    )


def _way(execution: Execution, entries: Iterable[Entry], waits: Iterable[Wait]) -> _Way:
    taken: list[str] = []
    last: dict[str, EntryAction] = {}
    undoing: dict[str, Mark] = {}
    visits: Counter[str] = Counter()
    for entry in entries:
        step, undone = _place(entry, visits)
        if entry.action == EntryAction.COMPENSATED:
            # Not one of ``taken``: no edge leads to it from the step that was done before.
            undoing[step] = "taken"
            last.pop(step, None)
            last[undone] = entry.action
            visits[step] += 1
        elif entry.action in _DONE:
            taken.append(step)
            visits[step] += 1
        if entry.action in _DONE | _FAILED:
            last[step] = entry.action
    marks = undoing | {step: _MARKS[action] for step, action in last.items() if action in _MARKS}
    waiting = [plain_path(wait.step) for wait in waits if wait.status == WaitStatus.OPEN]
    marks |= {around: "within" for step in waiting for around in _around(step)}
    marks |= dict.fromkeys(waiting, "waiting")
    current = None
    if execution.status != ExecutionStatus.COMPLETED and execution.current_step:
        current = plain_path(execution.current_step)
    if current and execution.status == ExecutionStatus.FAILED:
        marks[current] = "failed"
    elif current and not execution.status.is_final and marks.get(current) == "failed":
        del marks[current]  # it is being attempted again
    return _Way(tuple(taken), current, marks, visits)


def _place(entry: Entry, done: Collection[str]) -> tuple[str, str]:
    """Return the step of an entry and, for a compensation, the one of ``done`` that it undoes."""
    target, colon, rest = entry.step_id.partition(":")
    undone = plain_path(rest)
    # A name may have a colon in it; what a compensation fails to undo was done before.
    if entry.action == EntryAction.COMPENSATED or (colon and undone in done):
        return target, undone
    return plain_path(entry.step_id), ""


def _around(step: str) -> list[str]:
    """Return the paths of the steps, and of their branches, that ``step`` stands in."""
    parts = step.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts))]


def _words() -> dict[Mark, str]:
    return {
        "": "",
        "taken": _("done"),
        "within": _("the execution stands inside"),
        "current": _("the execution stands here"),
        "waiting": _("waits"),
        "failed": _("failed"),
        "skipped": _("skipped"),
        "undone": _("was undone"),
    }
