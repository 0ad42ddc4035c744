"""Which way through a graph an execution has gone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from django_workflows.core.graph.shapes import Mark


class Trace:
    """
    The steps that were done, in their order, and the one where the execution stands.

    All are paths without the numbers of iterations. ``marks`` counts for more than what follows
    from these two, and ``visits`` says how often a step was done.
    """

    def __init__(
        self,
        taken: Iterable[str],
        current: str | None,
        marks: Mapping[str, Mark] | None = None,
        visits: Mapping[str, int] | None = None,
    ) -> None:
        done = list(taken)
        self._marks = marks or {}
        self._visits = visits or {}
        self.current = current
        self.taken = frozenset(done)
        parts = (current or "").split("/")
        around = ["/".join(parts[:end]) for end in range(1, len(parts))]
        here = [current] if current is not None else []
        self._moves = frozenset(_moves([*done, *around, *here]))

    def mark(self, path: str) -> Mark:
        """Return what is to be seen on the step at ``path``."""
        if path in self._marks:
            return self._marks[path]
        if path == self.current:
            return "current"
        if self.current is not None and self.current.startswith(f"{path}/"):
            return "within"
        return "taken" if path in self.taken else ""

    def visits(self, path: str) -> int:
        """Return how often the step at ``path`` was done."""
        return self._visits.get(path, 0)

    def goes(self, source: str, target: str) -> bool:
        """Say whether the execution went straight from one step to the other."""
        return (source, target) in self._moves


def _moves(paths: Iterable[str]) -> Iterable[tuple[str, str]]:
    last: dict[str, str] = {}  # by scope, as what runs in others comes in between
    for path in paths:
        scope = path.rpartition("/")[0]
        if scope in last:
            yield last[scope], path
        last[scope] = path
