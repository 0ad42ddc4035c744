"""A document while it is read: its values with their lines, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from django_workflows.core.validation.problems import Problem
from django_workflows.exceptions import DefinitionError

_UNREACHED = "workflows.E007"


@dataclass(slots=True)
class Node:
    """A value of a document. Lists and mappings hold nodes; a scalar is kept as written too."""

    value: Any
    line: int
    text: str = ""
    lines: dict[str, int] = field(default_factory=dict)  # of a mapping: where its keys stand

    def plain(self) -> Any:
        """Return the value as plain data."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def scalars(self) -> Iterator[Node]:
        """Yield every scalar in it, keys as well."""
        if isinstance(self.value, dict):
            for key, node in self.value.items():
                yield Node(key, self.lines[key], key)
                yield from node.scalars()
        elif isinstance(self.value, list):
            for node in self.value:
                yield from node.scalars()
        else:
            yield self

    def __str__(self) -> str:
        if isinstance(self.value, dict):
            return "a mapping"
        return "a list" if isinstance(self.value, list) else repr(self.value)[:60]


class Document:
    """What the readers of one document share: its file, its services, and what is wrong with it."""

    def __init__(self, file: str, services: Mapping[str, str]) -> None:
        self.file = file
        self.services = services
        self.steps: dict[str, Node] = {}  # by path
        self.nameless: set[str] = set()  # stand-ins for ids that could not be taken
        self.found: list[tuple[float, str]] = []

    def problem(self, message: str, line: int | None = None) -> None:
        """Note one thing that is wrong."""
        place = self.file if line is None else f"{self.file}:{line}"
        self.found.append((float("inf") if line is None else line, f"{place}: {message}"))

    def stand_in(self) -> str:
        """Return a name for a step whose id cannot be taken."""
        name = f"(step {len(self.nameless) + 1} without an id)"
        self.nameless.add(name)
        return name

    def adopt(self, problem: Problem) -> None:
        """Note what validation found, at the line that it seems to speak of."""
        if self.nameless and problem.id == _UNREACHED:
            return  # what leads to it may lack its id
        message = problem.message
        path, option, quoted = _spoken_of(message)
        step = self.steps.get(path)
        if step is None:
            self.problem(message)
        elif option in step.lines:
            self.problem(message, step.lines[option])
        else:
            lines = (node.line for node in step.scalars() if node.text in quoted[1:])
            self.problem(message, next(lines, step.line))

    def refuse(self, message: str, line: int | None = None) -> NoReturn:
        """Stop here: what follows cannot be read. Raise DefinitionError."""
        self.problem(message, line)
        raise self.error()

    def error(self, workflow_id: str = "") -> DefinitionError:
        """Return the error that tells every problem, in the order of the lines."""
        ordered = sorted(self.found, key=lambda item: item[0])
        return DefinitionError(workflow_id or self.file, [message for _, message in ordered])


def _spoken_of(message: str) -> tuple[str, str, list[str]]:
    """Return the step's path, the option, and all that is quoted in a message of validation."""
    quoted = re.findall(r"'([^']+)'", message)
    option = re.match(r"step '[^']+': (\w+)", message)
    return quoted[0] if quoted else "", option[1] if option else "", quoted
