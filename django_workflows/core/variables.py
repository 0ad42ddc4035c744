"""What the author's code sees of stored values: copies, so that none is changed in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from django_workflows.core.execution import State
from django_workflows.core.records import evolve


def copied(value: Any) -> Any:
    """Return a deep copy of storable data; what cannot change is shared."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if type(value) in {list, tuple}:
        return type(value)(copied(item) for item in value)
    return set(value) if type(value) is set else value


class Variables(Mapping[str, Any]):
    """A read-only mapping that copies a value when it is first asked for."""

    __slots__ = ("_copies", "_values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._copies: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._copies:
            self._copies[name] = copied(self._values[name])
        return self._copies[name]

    def __setitem__(self, name: str, value: object) -> NoReturn:
        raise TypeError(
            f"{name!r} cannot be set in place: return it from the step, or set it by an Assign."
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self) == dict(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(dict(self))


def read_only(state: State) -> State:
    """Return ``state`` as the author's code gets it."""
    return evolve(state, ctx=Variables(state.ctx), input=Variables(state.input))
