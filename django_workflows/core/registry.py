"""Names are taken once and must exist."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from django_workflows.exceptions import ConfigurationError, WorkflowError

T = TypeVar("T")


class Registry(Generic[T]):
    """
    A table of ``kind`` by name.

    A name that is taken raises ConfigurationError, unless the newcomer is the same definition
    loaded again. A missing one raises ``missing(name, known names)``.
    """

    def __init__(self, kind: str, missing: Callable[[str, Sequence[str]], WorkflowError]) -> None:
        self.kind = kind
        self.missing = missing
        self._items: dict[str, T] = {}

    def add(self, name: str, item: T, *, same: Callable[[T, T], bool] | None = None) -> T:
        """Take ``name`` for ``item``; ``same(old, new)`` says whether both are one definition."""
        taken = self._items.get(name)
        if taken is not None and taken is not item and not (same and same(taken, item)):
            raise ConfigurationError(
                f"The {self.kind} {name!r} is taken by {taken!r}; give {item!r} another name."
            )
        self._items[name] = item
        return item

    def remove(self, name: str) -> None:
        """Give the name back; nothing happens where it is not taken."""
        self._items.pop(name, None)

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except KeyError:
            raise self.missing(name, sorted(self._items)) from None

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def __len__(self) -> int:
        return len(self._items)

    def values(self) -> list[T]:
        """Return the items, sorted by name."""
        return [self._items[name] for name in self]
