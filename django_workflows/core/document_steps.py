"""How the step kinds read their part of a document."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any, Self

from django_workflows.core.conditions import Combined, Condition, Test
from django_workflows.core.definition import FINISHED
from django_workflows.core.document_nodes import Document, Node
from django_workflows.core.document_reader import Reader, is_reference
from django_workflows.core.document_services import NoService, find_method
from django_workflows.core.execution import State, StepOutcome
from django_workflows.core.expressions import Reference
from django_workflows.core.steps.base import Run, Step, StepOptions, step_types

#: What a condition asks: the lookup, what it compares with (None: ``value``), whether negated.
OPERATORS: dict[str, tuple[str, bool | None, bool]] = {
    "eq": ("exact", None, False),
    "neq": ("exact", None, True),
    "gt": ("gt", None, False),
    "gte": ("gte", None, False),
    "lt": ("lt", None, False),
    "lte": ("lte", None, False),
    "contains": ("contains", None, False),
    "starts_with": ("startswith", None, False),
    "ends_with": ("endswith", None, False),
    "matches": ("regex", None, False),
    "in": ("in", None, False),
    "not_in": ("in", None, True),
    "exists": ("isnull", False, False),
    "empty": ("empty", True, False),
    "truthy": ("truthy", True, False),
    "falsy": ("truthy", False, False),
}

_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*\Z")

#: The history writes these around the ids of steps: ``each[3]/pay#2``.
_RESERVED = re.compile(r"[/\[\]#]")

#: Stands in for a condition that cannot be read.
_ANYTHING = Test(Reference(("input",)), "truthy", value=True)


class StepReader(Reader):
    """Reads the mapping of one step, or one within it."""

    def __init__(self, document: Document, node: Node, *, place: str = "", prefix: str = "") -> None:
        super().__init__(document, node, place=place, prefix=prefix)
        self.path = ""
        self.step_name = ""
        self.scope: frozenset[str] = frozenset()  # the targets there are

    def options(self) -> StepOptions:
        """Return the options that every kind takes, but for its output."""
        return {
            "name": self.step_name,
            "next": self.target("next"),
            "on_error": self.target("on_error"),
            "description": self.text("description"),
        }

    def rest(self) -> dict[str, Any]:
        """Return every key that no getter has asked for yet, as plain data."""
        return {key: self.value(key) for key in self.keys if key not in self.asked}

    def target(self, key: str, *, required: bool = False) -> str | None:
        """Return the id of a step in the same list, or ``__FINISHED__``; or None."""
        name = self.text(key, required=required)
        if name in self.scope:
            return name
        if name:
            steps = ", ".join(sorted(self.scope - self.document.nameless)) or "none"
            self.problem(f"there is no step {name!r} to go to here; there are {steps}", key)
        return FINISHED if name or required else None

    def condition(self, key: str, *, required: bool = False) -> Condition | None:
        """Return the condition that ``field``, ``op`` and ``value`` describe, or None."""
        inner = self.inner(key, required=required)
        if inner is None:
            return _ANYTHING if required or key in self.wrong else None
        test = _condition(inner)
        inner.finish("a condition")
        return _ANYTHING if inner.wrong else test

    def service(self, service: str, method: str) -> Callable[..., Any]:
        """Return the method that two keys name, of a service on the list."""
        names = self.text(service, required=True), self.text(method, required=True)
        if all(names):
            try:
                return find_method(self.document.services, *names)
            except NoService as error:
                self.problem(str(error), method if error.is_method else service)
        return _nothing

    def steps(self, key: str, *, alone: bool = False, ends: Collection[str] = ()) -> list[Step]:
        """
        Return the steps of the list at ``key``, at least one.

        They may go to one another, or with ``alone`` to nothing but their own end. ``ends`` are
        more targets that are no steps.
        """
        readers: dict[str, StepReader] = {}
        for reader in self.readers(key):
            readers[reader._identity(readers)] = reader
        if not readers:
            if not self.wrong & {key, f"{key}[0]"}:
                self.problem("needs at least one step", key)
            return [Unread(self.document.stand_in(), set(), set())]
        everywhere = {FINISHED, *ends, *(() if alone else readers)}
        return [
            reader._step(self.path, name, frozenset({name, *everywhere}), alone=alone)
            for name, reader in readers.items()
        ]

    def _within(self, node: Node, keys: str) -> Self:
        inner = super()._within(node, keys)
        inner.path, inner.scope = self.path, self.scope
        return inner

    def _identity(self, taken: dict[str, StepReader]) -> str:
        """Return the step's id, or a stand-in where it cannot be taken."""
        name = self.text("id", required=True)
        if name in taken:
            line = taken[name].node.line
            self.problem(f"{name!r} is taken by the step on line {line}", "id")
        elif name == FINISHED or _RESERVED.search(name):
            self.problem(f"{name!r} cannot be an id: it is {FINISHED} or has one of / [ ] #", "id")
        return self.document.stand_in() if "id" in self.wrong else name

    def _step(self, around: str, name: str, scope: frozenset[str], *, alone: bool) -> Step:
        self.step_name, self.scope = name, scope
        self.path = f"{around}/{name}" if around else name
        if name not in self.document.nameless:
            self.place, self.prefix = f"step {self.path!r}", ""
        self.document.lines[self.path] = self.node.line
        if alone:
            self.document.lines[f"{self.path}/{name}"] = self.node.line
        kind = self.text("type", required=True)
        if kind in step_types:
            try:
                step = step_types[kind].from_document(self)
            except (TypeError, ValueError) as error:
                self.problem(f"cannot be made from these keys: {error}")
            else:
                self.finish(f"a step of type {kind}")
                return step
        elif kind:
            self.problem(f"is the unknown {kind!r}; known are {', '.join(step_types)}", "type")
        texts = set(self.node.texts())
        return Unread(name, texts & scope, texts)


class Unread(Step):
    """Stands for a step that cannot be read, so that nothing it may name is called lost."""

    def __init__(self, name: str, targets: set[str], variables: set[str]) -> None:
        super().__init__(name=name, output=None)
        self._targets = sorted(targets)
        self._variables = sorted(variables)

    def targets(self) -> Iterator[str]:
        """See Step.targets()."""
        yield from self._targets

    def sets(self) -> Iterator[str]:
        """See Step.sets()."""
        yield from self._variables

    def execute(self, state: State, run: Run) -> StepOutcome:  # pragma: no cover
        """Never called: the document is refused."""
        raise NotImplementedError


def _condition(reader: StepReader) -> Condition:
    field = reader.text("field", required=True).removeprefix("$")
    lookup, fixed, negated = OPERATORS[reader.choice("op", OPERATORS, "eq")]
    value = reader.value("value")
    if field and not _PATH.match(field):
        reader.problem(f"must be a path such as order.total, not {field!r}", "field")
    if lookup == "in" and not (isinstance(value, (list, dict)) or is_reference(value)):
        value = [value]
    test = Test(Reference.dotted(field), lookup, value if fixed is None else fixed)
    for problem in test.problems():
        reader.problem(problem, "value")
    return Combined("AND", True, (test,)) if negated else test  # noqa: FBT003  its fields in order


def _nothing() -> None:  # pragma: no cover
    """Stand in for a service that cannot be found."""
