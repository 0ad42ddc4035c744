"""
References into an execution's data: ``F("validate__total")``, ``"$validate.total"``.

Only plain data is walked: mapping keys and list positions, never attributes.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F
from django.db.models.expressions import Combinable, CombinedExpression, Value

from django_workflows.core import clock
from django_workflows.core.codec import MAX_INT_BITS
from django_workflows.core.execution import State
from django_workflows.exceptions import StepError

#: Roots that are not ctx keys.
ROOTS = frozenset({"input", "now", "history", "ctx"})

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = rf"\$({_NAME}(?:\.(?:{_NAME}|\d+))*)"
_WHOLE = re.compile(rf"{_REFERENCE}\Z")
_EMBEDDED = re.compile(rf"\$\$|{_REFERENCE}")

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    Combinable.ADD: operator.add,
    Combinable.SUB: operator.sub,
    Combinable.MUL: operator.mul,
    Combinable.DIV: operator.truediv,
    Combinable.MOD: operator.mod,
    Combinable.POW: operator.pow,
}


def _name(expression: F) -> str:
    name: str = vars(expression)["name"]  # public, though the stubs do not know it
    return name


@dataclass(frozen=True, slots=True)
class Reference:
    """A path into the data: the root, then keys and positions."""

    path: tuple[str, ...]

    @classmethod
    def of(cls, expression: F) -> Reference:
        """Return the reference that ``F("a__b")`` stands for."""
        return cls(tuple(_name(expression).split("__")))

    @classmethod
    def dotted(cls, text: str) -> Reference:
        """Return the reference written as ``a.b``, without the dollar sign."""
        return cls(tuple(text.split(".")))

    @property
    def root(self) -> str:
        """Return the first part of the path."""
        return self.path[0]

    def lookup(self, state: State) -> Any:
        """Return the value, or None where any part of the path is missing."""
        return walk(_base(self.root, state), self.path[1:])

    def __str__(self) -> str:
        return "$" + ".".join(self.path)


def _base(root: str, state: State) -> Any:
    if root == "input":
        return state.input
    if root == "ctx":
        return state.ctx
    if root == "now":
        return clock.now()
    if root == "history":
        return [entry.to_dict() for entry in state.history]
    return state.ctx.get(root)


def walk(value: Any, parts: Sequence[str]) -> Any:
    """Follow ``parts`` into plain data; return None where one is missing."""
    for part in parts:
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, (list, tuple)) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def resolve(value: Any, state: State) -> Any:
    """
    Return ``value`` with every reference in it replaced by what it refers to.

    A string that is one reference keeps the value's type; references inside a longer string are
    interpolated, and ``$$`` is a dollar sign. Mappings and lists are walked.
    """
    if isinstance(value, str):
        return _resolve_text(value, state)
    if isinstance(value, F):
        return Reference.of(value).lookup(state)
    if isinstance(value, CombinedExpression):
        return _calculate(value, state)
    if isinstance(value, Value):
        return value.value
    if isinstance(value, Mapping):
        return {key: resolve(item, state) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [resolve(item, state) for item in value]
    return value


def _resolve_text(text: str, state: State) -> Any:
    if "$" not in text:
        return text
    whole = _WHOLE.match(text)
    if whole:
        return Reference.dotted(whole[1]).lookup(state)

    def interpolate(match: re.Match[str]) -> str:
        if match[1] is None:
            return "$"
        found = Reference.dotted(match[1]).lookup(state)
        return "" if found is None else str(found)

    return _EMBEDDED.sub(interpolate, text)


def _calculate(expression: CombinedExpression, state: State) -> Any:
    apply = _OPERATORS.get(expression.connector)
    if apply is None:
        raise StepError(f"The operator {expression.connector!r} cannot be used in a workflow.")
    left, right = resolve(expression.lhs, state), resolve(expression.rhs, state)
    try:
        _refuse_bomb(expression.connector, left, right)
        return apply(left, right)
    except (ArithmeticError, TypeError) as error:
        raise StepError(f"{left!r} {expression.connector} {right!r}: {error}") from error


def _refuse_bomb(connector: str, left: Any, right: Any) -> None:
    """Raise ArithmeticError where a small expression over somebody's data would grow huge."""
    texts = (str, bytes, list, tuple)
    if connector in {Combinable.MUL, Combinable.MOD} and isinstance(left, texts):
        raise ArithmeticError("numbers are needed")
    if connector == Combinable.MUL and isinstance(right, texts):
        raise ArithmeticError("numbers are needed")
    whole = isinstance(left, int) and isinstance(right, int)
    if connector == Combinable.POW and whole and left.bit_length() * right > MAX_INT_BITS:
        raise ArithmeticError(f"the power has more than {MAX_INT_BITS} bits")


def references(value: Any) -> Iterator[Reference]:
    """Yield every reference in ``value``, as resolve() would find them."""
    if isinstance(value, str):
        for match in _EMBEDDED.finditer(value):
            if match[1] is not None:
                yield Reference.dotted(match[1])
    elif isinstance(value, F):
        yield Reference.of(value)
    elif isinstance(value, CombinedExpression):
        yield from references(value.lhs)
        yield from references(value.rhs)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item)


def whole_reference(value: Any) -> Reference | None:
    """Return the reference that ``value`` is, and nothing beside it; else None."""
    if isinstance(value, F):
        return Reference.of(value)
    found = _WHOLE.match(value) if isinstance(value, str) else None
    return Reference.dotted(found[1]) if found else None
