"""
Conditions as data: Django's ``Q`` compiled to a small tree that is evaluated on plain data.

A value that is missing, or None, matches nothing but ``isnull=True`` and ``exact=None``. What
cannot be compared raises ConditionError; it is never silently false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from django.db.models import Q

from django_workflows.core.execution import State
from django_workflows.core.expressions import Reference, references, resolve
from django_workflows.core.variables import read_only
from django_workflows.exceptions import ConditionError, StepError


class Condition(Protocol):
    """What a router or a loop asks of a state."""

    def matches(self, state: State) -> bool:
        """Say whether it holds. Raise ConditionError where it cannot be evaluated."""

    def explain(self, state: State) -> str:
        """Show the values that are compared, for an error message."""

    def references(self) -> Iterator[Reference]:
        """Yield what it refers to."""

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with it, as sentences."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


def _between(value: Any, bounds: Any) -> bool:
    low, high = bounds
    return bool(low <= value <= high)


def _is_empty(value: Any) -> bool:
    return value is None or (hasattr(value, "__len__") and len(value) == 0)


LOOKUPS: dict[str, Callable[[Any, Any], bool]] = {
    "exact": lambda value, wanted: bool(value == wanted),
    "iexact": lambda value, wanted: _text(value).casefold() == _text(wanted).casefold(),
    "gt": lambda value, wanted: bool(value > wanted),
    "gte": lambda value, wanted: bool(value >= wanted),
    "lt": lambda value, wanted: bool(value < wanted),
    "lte": lambda value, wanted: bool(value <= wanted),
    "in": lambda value, wanted: value in wanted,
    "contains": lambda value, wanted: wanted in value,
    "icontains": lambda value, wanted: _text(wanted).casefold() in _text(value).casefold(),
    "startswith": lambda value, wanted: _text(value).startswith(_text(wanted)),
    "endswith": lambda value, wanted: _text(value).endswith(_text(wanted)),
    "regex": lambda value, wanted: re.search(wanted, _text(value)) is not None,
    "range": _between,
    "isnull": lambda value, wanted: (value is None) is bool(wanted),
    # Beyond Django's: what documents ask.
    "empty": lambda value, wanted: _is_empty(value) is bool(wanted),
    "truthy": lambda value, wanted: bool(value) is bool(wanted),
}

#: Lookups for which a missing value is a value like any other.
_ASK_MISSING = frozenset({"isnull", "empty", "truthy"})


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison: the value at ``reference`` against ``value``."""

    reference: Reference
    lookup: str
    value: Any

    def matches(self, state: State) -> bool:
        """See Condition.matches()."""
        found = self.reference.lookup(state)
        # A regular expression is taken as written: its dollar signs name no variables.
        wanted = self.value if self.lookup == "regex" else resolve(self.value, state)
        if found is None and self.lookup not in _ASK_MISSING:
            return self.lookup == "exact" and wanted is None
        try:
            return LOOKUPS[self.lookup](found, wanted)
        except (TypeError, ValueError, re.error) as error:
            raise ConditionError(
                f"Condition {self} cannot be evaluated: {found!r} against {wanted!r}: {error}"
            ) from error

    def explain(self, state: State) -> str:
        """See Condition.explain()."""
        return f"{self} (it is {self.reference.lookup(state)!r})"

    def references(self) -> Iterator[Reference]:
        """See Condition.references()."""
        yield self.reference
        yield from references(self.value)

    def problems(self) -> Iterator[str]:
        """See Condition.problems()."""
        if self.lookup not in LOOKUPS:
            yield f"condition {self} has the unknown lookup {self.lookup!r}"
        if self.lookup == "regex":
            yield from self._regex_problems()
        if self.lookup == "range" and not (
            isinstance(self.value, (list, tuple)) and len(self.value) == 2  # noqa: PLR2004
        ):
            yield f"condition {self} needs a range of two values"

    def _regex_problems(self) -> Iterator[str]:
        if not isinstance(self.value, str) or list(references(self.value)):
            yield f"condition {self} needs a literal regular expression, never one from data"
            return
        try:
            re.compile(self.value)
        except re.error as error:
            yield f"condition {self} has a bad regular expression: {error}"

    def __str__(self) -> str:
        return f"{self.reference} {self.lookup} {self.value!r}"


@dataclass(frozen=True, slots=True)
class Combined:
    """Several conditions joined by AND, OR or XOR, perhaps negated."""

    connector: str
    negated: bool
    children: tuple[Condition, ...]

    def matches(self, state: State) -> bool:
        """See Condition.matches()."""
        matched = (child.matches(state) for child in self.children)
        if self.connector == Q.AND:
            outcome = all(matched)
        elif self.connector == Q.OR:
            outcome = any(matched)
        else:
            outcome = sum(matched) % 2 == 1
        return outcome is not self.negated

    def explain(self, state: State) -> str:
        """See Condition.explain()."""
        joined = f" {self.connector.lower()} ".join(child.explain(state) for child in self.children)
        return f"not ({joined})" if self.negated else joined

    def references(self) -> Iterator[Reference]:
        """See Condition.references()."""
        for child in self.children:
            yield from child.references()

    def problems(self) -> Iterator[str]:
        """See Condition.problems()."""
        for child in self.children:
            yield from child.problems()


@dataclass(frozen=True, slots=True)
class Predicate:
    """A condition that is a callable of the state."""

    function: Callable[[State], object]

    def matches(self, state: State) -> bool:
        """See Condition.matches()."""
        try:
            return bool(self.function(read_only(state)))
        except StepError:
            raise
        except Exception as error:
            raise ConditionError(
                f"Condition {self._name} cannot be evaluated: {type(error).__name__}: {error}"
            ) from error

    def explain(self, state: State) -> str:
        """See Condition.explain()."""
        return f"{self._name}() was false"

    def references(self) -> Iterator[Reference]:
        """See Condition.references(): what a callable reads is not known."""
        yield from ()

    def problems(self) -> Iterator[str]:
        """See Condition.problems()."""
        yield from ()

    @property
    def _name(self) -> str:
        return getattr(self.function, "__qualname__", repr(self.function))


def condition(source: object) -> Condition:
    """
    Return the condition that ``source``, a ``Q`` or a callable of the state, stands for.

    Raise TypeError for anything else.
    """
    if isinstance(source, (Test, Combined, Predicate)):
        return source
    if isinstance(source, Q):
        return Combined(source.connector, source.negated, tuple(map(_child, source.children)))
    if callable(source):
        return Predicate(source)
    raise TypeError(f"a condition is a Q object or a callable of the state, not {source!r}")


def _child(child: object) -> Condition:
    if isinstance(child, Q):
        return condition(child)
    if not isinstance(child, tuple):
        raise TypeError(f"a condition cannot hold {child!r}")
    path, value = child
    parts = path.split("__")
    lookup = parts.pop() if len(parts) > 1 and parts[-1] in LOOKUPS else "exact"
    return Test(Reference(tuple(parts)), lookup, value)
