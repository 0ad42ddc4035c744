"""The operations of a Transform: small functions of plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from django_workflows.core.expressions import walk
from django_workflows.exceptions import StepError


def _list(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError("it needs a list")
    return list(value)


def _dict(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("it needs a mapping")
    return value


def _field(item: Any, path: Any) -> Any:
    return walk(item, str(path).split("."))


def _has(item: Any, wanted: Any) -> bool:
    return all(_field(item, path) == value for path, value in _dict(wanted).items())


def _keys(argument: Any) -> list[str]:
    return [argument] if isinstance(argument, str) else [str(key) for key in _list(argument)]


def _map(value: Any, path: Any) -> Any:
    return [_field(item, path) if isinstance(path, str) else item for item in _list(value)]


def _flatten(value: Any, depth: Any) -> list[Any]:
    flat: list[Any] = []
    levels = 1 if depth is None else int(depth)
    for item in _list(value):
        nested = isinstance(item, (list, tuple)) and levels > 0
        flat.extend(_flatten(item, levels - 1) if nested else [item])
    return flat


def _uniq(value: Any, _: Any) -> list[Any]:
    # Items may be mappings and so unhashable; comparing keeps the first of each.
    kept: list[Any] = []
    for item in _list(value):
        if item not in kept:
            kept.append(item)
    return kept


def _sort(value: Any, path: Any) -> list[Any]:
    if path is None:
        return sorted(_list(value))
    return sorted(_list(value), key=lambda item: _field(item, path))


def _sum(value: Any, path: Any) -> Any:
    items = _list(value) if path is None else [_field(item, path) for item in _list(value)]
    numbers = [0 if item is None else item for item in items]
    if any(isinstance(item, Decimal) for item in numbers):
        # 0.1 as a float has no exact Decimal; its shortest text is what was meant.
        numbers = [Decimal(str(item)) if isinstance(item, float) else item for item in numbers]
    return sum(numbers)


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "map": _map,
    "select": lambda value, wanted: [item for item in _list(value) if _has(item, wanted)],
    "reject": lambda value, wanted: [item for item in _list(value) if not _has(item, wanted)],
    "pluck": lambda value, path: [_field(item, path) for item in _list(value)],
    "first": lambda value, count: _list(value)[: 1 if count is None else int(count)],
    "last": lambda value, count: _list(value)[-count:] if count else _list(value)[-1:],
    "flatten": _flatten,
    "compact": lambda value, _: [item for item in _list(value) if item is not None],
    "uniq": _uniq,
    "reverse": lambda value, _: _list(value)[::-1],
    "sort": _sort,
    "count": lambda value, _: len(value) if hasattr(value, "__len__") else 1,
    "sum": _sum,
    "keys": lambda value, _: list(_dict(value)),
    "values": lambda value, _: list(_dict(value).values()),
    "pick": lambda value, keys: {k: _dict(value)[k] for k in _keys(keys) if k in _dict(value)},
    "omit": lambda value, keys: {k: v for k, v in _dict(value).items() if k not in _keys(keys)},
    "merge": lambda value, other: {**_dict(value), **_dict(other)},
}


def apply(name: str, value: Any, argument: Any) -> Any:
    """Return the outcome of operation ``name``. Raise StepError where ``value`` does not fit it."""
    try:
        return OPERATIONS[name](value, argument)
    except (ArithmeticError, TypeError, ValueError) as error:
        shown = repr(value)[:120]
        raise StepError(f"Operation {name!r} cannot be applied to {shown}: {error}") from error
