"""How the step kinds read their part of a document."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import Any

from django_workflows.core.conditions import Combined, Condition, Test
from django_workflows.core.definition import FINISHED
from django_workflows.core.document.nodes import Document, Node
from django_workflows.core.document.reader import Reader, is_reference
from django_workflows.core.document.services import NoService, find_method
from django_workflows.core.execution import State, StepOutcome
from django_workflows.core.expressions import Reference
from django_workflows.core.steps.base import OWN_NAME, Run, Step, StepOptions, step_types

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

#: Stands in for a condition that cannot be read.
_ANYTHING = Test(Reference(("input",)), "truthy", value=True)


class StepReader(Reader):
    """Reads the mapping of one step, or one within it."""

    def __init__(
        self, document: Document, node: Node, *, place: str = "", prefix: str = ""
    ) -> None:
        super().__init__(document, node, place=place, prefix=prefix)
        self.name = ""
        self.path = ""  # as the history writes it

    def options(self, *, output: str | None = OWN_NAME) -> StepOptions:
        """Return the options that every kind takes, with the ctx key of its output."""
        return {
            "name": self.name,
            "next": self.key("next"),
            "on_error": self.key("on_error"),
            "output": output,
            "description": self.text("description"),
        }

    def rest(self) -> dict[str, Any]:
        """Return every key that no getter has asked for yet, as plain data."""
        return {key: self.value(key) for key in self.keys if key not in self.asked}

    def target(self, key: str) -> str:
        """Return the name of a step to go to, which must be given."""
        return self.text(key, required=True) or FINISHED

    def condition(self, key: str, *, required: bool = False) -> Condition | None:
        """Return the condition that ``field``, ``op`` and ``value`` describe, or None."""
        inner = self.inner(key, required=required)
        if inner is None:
            return _ANYTHING if key in self.wrong else None
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

    def steps(self, key: str, *, apart: bool = False) -> list[Step]:
        """Return the steps of the list at ``key``, at least one; with ``apart``, as branches."""
        readers: dict[str, StepReader] = {}
        around = f"{self.path}/" if self.path else ""
        for reader in self.readers(key):
            name = reader.identity(readers)
            scope = f"{name}/" if apart else ""
            reader.name, reader.path = name, f"{around}{scope}{name}"
            readers[name] = reader
        if not readers and not self.wrong & {key, f"{key}[0]"}:
            self.problem("needs at least one step", key)
        steps = [reader.step(readers) for reader in readers.values()]
        return steps or [Unread(self.document.stand_in(), (), ())]

    def identity(self, taken: dict[str, StepReader]) -> str:
        """Return the step's id, or a stand-in where it has none of its own."""
        name = self.text("id", required=True)
        if name in taken:
            self.problem(f"{name!r} is taken by the step on line {taken[name].node.line}", "id")
        return self.document.stand_in() if "id" in self.wrong else name

    def step(self, siblings: Collection[str]) -> Step:
        """Return the step, or what stands for it where it cannot be read."""
        self.document.steps[self.path] = self.node
        if self.name not in self.document.nameless:
            self.place, self.prefix = f"step {self.path!r}", ""
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
        texts = [scalar.text for scalar in self.node.scalars()]
        return Unread(self.name, [text for text in texts if text in siblings], texts)


class Unread(Step):
    """Stands for a step that cannot be read, so that nothing it may name is called lost."""

    def __init__(self, name: str, targets: Collection[str], variables: Collection[str]) -> None:
        super().__init__(name=name, output=None)
        self._targets = targets
        self._variables = variables

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
    return Combined("AND", negated=True, children=(test,)) if negated else test


def _nothing() -> None:  # pragma: no cover
    """Stand in for a method that cannot be found."""
