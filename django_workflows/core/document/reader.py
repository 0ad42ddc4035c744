"""Typed reading of a document; what is wrong is noted, and reading goes on."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Self, TypeVar

from django_workflows.core import clock
from django_workflows.core.document.nodes import Document, Node
from django_workflows.core.expressions import references

T = TypeVar("T")

#: In seconds: what is longer does not fit into a calendar.
LONGEST = clock.LONGEST.total_seconds()


class Reader:
    """
    Reads one mapping of a document.

    A getter notes what is wrong and returns something harmless, so that the rest is read all the
    same. A key that is missing, or null, yields the default. finish() refuses the keys that no
    getter has asked for.
    """

    def __init__(
        self, document: Document, node: Node, *, place: str = "", prefix: str = ""
    ) -> None:
        self.document = document
        self.node = node
        self.place = place  # the step, for messages
        self.prefix = prefix  # the keys that lead to this mapping
        self.asked: dict[str, None] = {}
        self.wrong: set[str] = set()

    @property
    def keys(self) -> list[str]:
        """Return the keys there are."""
        return list(self.node.value)

    def problem(self, message: str, key: str = "", line: int | None = None) -> None:
        """Note that something is wrong with the value at ``key``, or with the mapping."""
        place = ", ".join(part for part in (self.place, (self.prefix + key).rstrip(".")) if part)
        self.wrong.add(key)
        self.document.problem(
            f"{place}: {message}" if place else message,
            line or self.node.lines.get(key, self.node.line),
        )

    def finish(self, what: str) -> None:
        """Refuse the keys that nothing has asked for; ``what`` has those that it asked for."""
        for key in self.keys:
            if key not in self.asked:
                self.problem(f"is no key of {what}; its keys are {', '.join(self.asked)}", key)

    # Single values ------------------------------------------------------------------------------

    def text(self, key: str, default: str = "", *, required: bool = False) -> str:
        """Return a text, which may not be empty where it is required."""
        found = self._typed(key, default, "text", lambda value: isinstance(value, str))
        if required and not found and key not in self.wrong:
            self.problem("is missing", key)
        return found

    def key(self, key: str) -> str | None:
        """Return the name of a step or of a variable, or None."""
        return self.text(key) or None

    def written(self, key: str, default: str) -> str:
        """Return a scalar as it is written: the version 1.10 is no number."""
        node = self._get(key)
        if node is None:
            return default
        if isinstance(node.value, (dict, list)):
            self.problem(f"must be text, not {node}", key)
            return default
        return node.text

    def choice(self, key: str, known: Collection[str], default: str) -> str:
        """Return one of the ``known`` words."""
        word = self.text(key, default)
        if word in known:
            return word
        self.problem(f"is the unknown {word!r}; known are {', '.join(known)}", key)
        return default

    def boolean(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        return self._typed(key, default, "true or false", lambda value: isinstance(value, bool))

    def integer(self, key: str, default: int, *, least: int) -> int:
        """Return a whole number that is at least ``least``."""
        wanted = f"a whole number from {least} on"
        return self._typed(key, default, wanted, lambda n: type(n) is int and n >= least)

    def number(self, key: str, default: float, *, positive: bool = False) -> float:
        """Return a number that is not negative, or with ``positive`` more than 0."""
        wanted = "a number above 0" if positive else "a number, not negative"
        return self._typed(key, default, wanted, lambda n: _is_number(n) and (n or not positive))

    def seconds(self, key: str) -> float | None:
        """Return a time in seconds, or None."""
        wanted = "a number of seconds between 0 and 100 years"
        return self._typed(key, None, wanted, lambda n: _is_number(n) and 0 < n <= LONGEST)

    def value(self, key: str) -> Any:
        """Return plain data of any kind; references in it are resolved when the step runs."""
        node = self._get(key)
        return None if node is None else node.plain()

    # Lists and mappings -------------------------------------------------------------------------

    def mapping(self, key: str, *, required: bool = False) -> dict[str, Any]:
        """Return a mapping as plain data."""
        inner = self.inner(key, required=required)
        plain: dict[str, Any] = inner.node.plain() if inner else {}
        return plain

    def is_mapping(self, key: str) -> bool:
        """Say whether there is a mapping at ``key``."""
        return key in self.node.value and isinstance(self.node.value[key].value, dict)

    def inner(self, key: str, *, required: bool = False) -> Self | None:
        """Return a reader of the mapping at ``key``, or None."""
        node = self._get(key)
        if node is not None and isinstance(node.value, dict):
            return self._within(node, key)
        if node is not None:
            self.problem(f"must be a mapping, not {node}", key)
        elif required:
            self.problem("is missing", key)
        return None

    def readers(self, key: str) -> list[Self]:
        """Return a reader of each mapping in the list at ``key``."""
        found = []
        for position, node in enumerate(self._list(key)):
            if isinstance(node.value, dict):
                found.append(self._within(node, f"{key}[{position}]"))
            else:
                self.problem(f"must be a mapping, not {node}", f"{key}[{position}]", node.line)
        return found

    def texts(self, key: str) -> list[str]:
        """Return a list of texts."""
        found = []
        for position, node in enumerate(self._list(key)):
            if isinstance(node.value, str) and node.value:
                found.append(node.value)
            else:
                self.problem(f"must be text, not {node}", f"{key}[{position}]", node.line)
        return found

    def items(self, key: str) -> Any:
        """Return a list, or a reference to one; or None."""
        value = self.value(key)
        if value is None or isinstance(value, list) or is_reference(value):
            return value
        self.problem(f"must be a list, or a reference such as $input.items, not {value!r:.60}", key)
        return []

    # Helpers ------------------------------------------------------------------------------------

    def _get(self, key: str) -> Node | None:
        self.asked[key] = None
        node: Node | None = self.node.value.get(key)
        return None if node is None or node.value is None else node

    def _typed(self, key: str, default: T, wanted: str, fits: Callable[[Any], bool]) -> T:
        node = self._get(key)
        if node is None:
            return default
        if fits(node.value):
            return node.value  # type: ignore[no-any-return]
        quotes = " (put it in quotes)" if wanted == "text" and node.text else ""
        self.problem(f"must be {wanted}, not {node}{quotes}", key)
        return default

    def _list(self, key: str) -> list[Node]:
        return self._typed(key, [], "a list", lambda value: isinstance(value, list))

    def _within(self, node: Node, keys: str) -> Self:
        prefix = f"{self.prefix}{keys}."
        return type(self)(self.document, node, place=self.place, prefix=prefix)


def is_reference(value: Any) -> bool:
    """Say whether ``value`` is a text that is one reference, and nothing beside it."""
    return isinstance(value, str) and [str(found) for found in references(value)] == [value]


def _is_number(value: Any) -> bool:
    return type(value) in {int, float} and value >= 0
