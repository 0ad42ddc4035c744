"""Checks of what steps read: variables, fields of the input, paths into outputs."""

from __future__ import annotations

from collections.abc import Iterator

from django_workflows.core.expressions import ROOTS, Reference
from django_workflows.core.validation.dataflow import LAST_ERROR, Reached
from django_workflows.core.validation.problems import Problem, Subject, at, meant
from django_workflows.core.validation.schemas import ruled_out


def variables(subject: Subject) -> Iterator[Problem]:
    """Find what is read and set by no step on any way to the one that reads it."""
    everything = subject.flow.everything
    steps = [step for _, step, _ in subject.definition.graph.walk()]
    lenient = subject.definition.keeps_undeclared
    if lenient and any(step.on_error for step in steps):
        everything |= {LAST_ERROR}
    for reached in subject.flow.reached:
        for reference in reached.step.references():
            name = variable(reference)
            if name is not None and name not in (everything if lenient else reached.names):
                reason = _unset(name, reached, everything)
                number = "E015" if name == LAST_ERROR else "E009"
                yield at(reached.path, number, f"reads {reference}, {reason}")


def _unset(name: str, reached: Reached, everything: frozenset[str]) -> str:
    if name == LAST_ERROR:
        return "which is there for the step alone that an on_error names"
    if name in everything:
        return f"but no step on a way to it sets {name!r}"
    return f"but no step sets {name!r}{meant(name, reached.names)}"


def variable(reference: Reference) -> str | None:
    """Return the ctx key that is read, or None where it is something else."""
    if reference.root == "ctx":
        return reference.path[1] if len(reference.path) > 1 else None
    return None if reference.root in ROOTS else reference.root


def input_fields(subject: Subject) -> Iterator[Problem]:
    """Find fields of the input that are read and not there."""
    fields = subject.definition.input.names()
    if fields is None:
        return
    for path, step, _ in subject.definition.graph.walk():
        for reference in step.references():
            field = reference.path[1] if reference.root == "input" and reference.path[1:] else None
            if field is not None and field not in fields:
                hint = meant(field, fields)
                yield at(path, "E010", f"reads {reference}, but the input has no {field!r}{hint}")


def outputs(subject: Subject) -> Iterator[Problem]:
    """Find paths that the schema of an output rules out."""
    for path, step, _ in subject.definition.graph.walk():
        for reference in step.references():
            reason = ruled_out(reference, subject.definition)
            if reason is not None:
                yield at(path, "E011", f"reads {reference}, but {reason}")
