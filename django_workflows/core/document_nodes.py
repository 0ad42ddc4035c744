"""A document while it is read: its values with their lines, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from django_workflows.exceptions import DefinitionError


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

    def texts(self) -> Iterator[str]:
        """Yield every key and every text in it."""
        if isinstance(self.value, dict):
            for key, node in self.value.items():
                yield key
                yield from node.texts()
        elif isinstance(self.value, list):
            for node in self.value:
                yield from node.texts()
        elif isinstance(self.value, str):
            yield self.value

    def __str__(self) -> str:
        if isinstance(self.value, dict):
            return "a mapping"
        return "a list" if isinstance(self.value, list) else repr(self.value)[:60]


class Document:
    """What the readers of one document share: its file, its services, and what is wrong with it."""

    def __init__(self, file: str, services: Mapping[str, str]) -> None:
        self.file = file
        self.services = services
        self.lines: dict[str, int] = {}  # of the steps, by path
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

    def adopt(self, message: str) -> None:
        """Note what validation found, at the line of the step that it speaks of."""
        quoted = re.findall(r"'([^']+)'", message)
        if self.nameless.isdisjoint(part for path in quoted for part in path.split("/")):
            lines = (self.lines[path] for path in quoted if path in self.lines)
            self.problem(message, next(lines, None))

    def refuse(self, message: str, line: int | None = None) -> NoReturn:
        """Stop here: what follows cannot be read. Raise DefinitionError."""
        self.problem(message, line)
        raise self.error()

    def error(self, workflow_id: str = "") -> DefinitionError:
        """Return the error that tells every problem, in the order of the lines."""
        ordered = sorted(self.found, key=lambda item: item[0])
        return DefinitionError(workflow_id or self.file, [message for _, message in ordered])
