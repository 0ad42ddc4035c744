"""
Everything that is wrong with a definition, as a list.

    workflows.E001   it has no steps
    workflows.E002   its id or version is empty or too long
    workflows.E003   its timeout is not positive, or too long
    workflows.E004   two steps of one scope have one name
    workflows.E005   a step has a name that cannot be part of a path
    workflows.E006   a step goes to a step that is not there
    workflows.E007   a step cannot be reached
    workflows.E008   steps go round in a circle that none of them leaves
    workflows.E009   a step reads a variable that nothing before it sets
    workflows.E010   a step reads a field that the input does not have
    workflows.E011   a step reads what the schema of an output rules out
    workflows.E012   a compensation is not there, or is of a kind that cannot compensate
    workflows.E013   an end inside of another step
    workflows.E014   an option of a step is wrong
    workflows.E015   a step reads the error of another where there is none
    workflows.E016   its durability is none that there is

The ids are stable: a project may silence one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from django_workflows.core import clock
from django_workflows.core.definition import DURABILITIES
from django_workflows.core.validation.circles import endless
from django_workflows.core.validation.edges import edges
from django_workflows.core.validation.problems import Check, Problem, Subject, at, meant
from django_workflows.core.validation.readings import input_fields, outputs, variables

if TYPE_CHECKING:
    from django_workflows.core.definition import WorkflowDefinition
    from django_workflows.core.steps import Step

__all__ = ["Problem", "problems"]

MAX_ID, MAX_VERSION, MAX_PATH = 100, 50, 200

#: Where steps keep how long they may take or wait, in seconds, and what the option is called.
TIMES = {
    "timeout": "timeout",
    "wait_for": "timeout",
    "child_timeout": "timeout",
    "remind_after": "remind_after",
}

#: The workflow id of children that run a part of a workflow: its id, and the path of the part.
MAX_PART = 200

#: What stands between the parts of a path: ``each[3]/charge#2``.
_SEPARATORS = frozenset("/[#")


def problems(definition: WorkflowDefinition) -> list[Problem]:
    """Return every problem of ``definition``, each once; see the list of ids above."""
    subject = Subject(definition)
    return list(dict.fromkeys(problem for check in CHECKS for problem in check(subject)))


def _whole(subject: Subject) -> Iterator[Problem]:
    definition = subject.definition
    if not definition.graph.steps:
        yield Problem("workflows.E001", "it has no steps; give it at least one")
    bounded = [("id", definition.id, MAX_ID), ("version", definition.version, MAX_VERSION)]
    for what, value, limit in bounded:
        if not value.strip():
            yield Problem("workflows.E002", f"its {what} is empty; give it one")
        if len(value) > limit:
            yield Problem(
                "workflows.E002",
                f"its {what} {value!r} has more than {limit} characters; shorten it",
            )
    if definition.durability not in DURABILITIES:
        known = " or ".join(map(repr, DURABILITIES))
        told = f"its durability must be {known}, not {definition.durability!r}"
        yield Problem("workflows.E016", told)
    timeout: object = definition.timeout
    if timeout is None:
        return
    if not isinstance(timeout, timedelta):
        yield Problem("workflows.E003", f"its timeout must be seconds or a timedelta: {timeout!r}")
    elif timeout.total_seconds() <= 0:
        yield Problem("workflows.E003", f"its timeout must be positive, not {timeout}")
    elif timeout > clock.LONGEST:
        yield Problem("workflows.E003", f"its timeout must be at most 100 years, not {timeout}")


def _names(subject: Subject) -> Iterator[Problem]:
    for scope in subject.scopes:
        for name in scope.graph.duplicates:
            yield at(scope.prefix + name, "E004", "two steps have this name; rename one of them")
        for name, step in scope.graph.steps.items():
            path = scope.prefix + name
            if len(path) > MAX_PATH:
                yield at(path, "E005", f"has a path of more than {MAX_PATH} characters; shorten it")
            for part in (name, *step.scopes()):
                if _SEPARATORS & {*part}:
                    yield at(path, "E005", f"{part!r} may not contain '/', '[' or '#'; rename it")
            for part in step.parts():
                identifier = "/".join(filter(None, [subject.definition.id, path, part]))
                if len(identifier) > MAX_PART:
                    yield at(
                        path,
                        "E005",
                        f"its children would run as {identifier!r}, of more than {MAX_PART}"
                        " characters; shorten it",
                    )
            if name in scope.ends:
                yield at(path, "E005", f"{name!r} stands for an end here; rename the step")


def _targets(subject: Subject) -> Iterator[Problem]:
    for scope in subject.scopes:
        steps = scope.graph.steps
        place = "of the workflow" if scope.holder is None else f"inside of {scope.within!r}"
        for name in steps:
            for edge in edges(scope.graph, name):
                if edge.target not in steps and edge.target not in scope.ends:
                    yield at(
                        scope.prefix + name,
                        "E006",
                        f"{edge.option} names {edge.target!r}, which is no step {place}"
                        f"{meant(edge.target, steps)}",
                    )


def _reachable(subject: Subject) -> Iterator[Problem]:
    for scope in subject.scopes:
        if scope.holder is not None and scope.within not in subject.reached:
            continue  # that nothing leads to the step around it says it all
        for name in scope.graph.steps:
            path = scope.prefix + name
            if path not in subject.reached:
                yield at(path, "E007", "no step leads to it; let one name it, or take it out")


def _circles(subject: Subject) -> Iterator[Problem]:
    for scope in subject.scopes:
        for circle in endless(scope.graph):
            paths = [scope.prefix + name for name in circle]
            if paths[0] in subject.reached:
                yield Problem(
                    "workflows.E008",
                    f"steps {', '.join(map(repr, paths))} go round without end: none of them"
                    " leaves the circle; let one of them go on to another step",
                )


def _compensations(subject: Subject) -> Iterator[Problem]:
    steps = subject.definition.graph.steps
    for path, step, _ in subject.definition.graph.walk():
        if step.compensate is None:
            continue
        if step.compensate not in steps:
            yield at(
                path,
                "E012",
                f"compensate names {step.compensate!r}, which is no step of the workflow"
                f"{meant(step.compensate, steps)}",
            )
            continue
        undo = steps[step.compensate]
        if undo.waits or undo.nested or undo.terminal or undo.chooses:
            yield at(
                path,
                "E012",
                f"compensate names {undo.name!r}, and a step of type {undo.type!r} cannot undo"
                " anything; name a method, a call, an assign or a transform",
            )


def _ends(subject: Subject) -> Iterator[Problem]:
    for scope in subject.scopes:
        for name, step in scope.graph.steps.items():
            if scope.holder is not None and step.terminal:
                instead = 'goto("break")' if scope.holder.breakable else "next='__FINISHED__'"
                yield at(
                    scope.prefix + name,
                    "E013",
                    f"cannot end the workflow from inside of {scope.within!r}; use {instead}",
                )


def _options(subject: Subject) -> Iterator[Problem]:
    for path, step, _ in subject.definition.graph.walk():
        useless = step.next and (step.terminal or step.chooses)
        # Documents may have it: it does no harm.
        if useless and not subject.definition.keeps_undeclared:
            kind = f"a step of type {step.type!r}"
            yield at(path, "E014", f"next={step.next!r} is never asked by {kind}; take it out")
        for problem in (*step.problems(), *_too_long(step)):
            yield at(path, "E014", problem)


def _too_long(step: Step) -> Iterator[str]:
    for attribute, option in TIMES.items():
        given = getattr(step, attribute, None)
        if isinstance(given, (int, float)) and not given <= clock.LONGEST.total_seconds():
            yield f"{option} must be at most 100 years, not {given:g} seconds"


CHECKS: tuple[Check, ...] = (
    _whole,
    _names,
    _targets,
    _reachable,
    _circles,
    variables,
    input_fields,
    outputs,
    _compensations,
    _ends,
    _options,
)
