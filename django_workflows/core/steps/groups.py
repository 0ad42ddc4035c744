"""Groups of child executions, as a step asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django_workflows.core.execution import Execution, ExecutionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A child execution that a step asks for."""

    item: int  # which of the step's children, from 0
    workflow_id: str
    input: Mapping[str, Any]
    ctx: Mapping[str, Any] | None = None  # what a part of the step's own workflow begins with
    about: Any = None  # with the input: another child is as good if it was about the same
    told: Any = None  # what of the input counts there; None is all of it


class Children(Protocol):
    """The child executions of one step, one for each item or branch; driven wherever it may be."""

    def start(
        self,
        planned: Sequence[Planned],
        *,
        concurrency: int | None = None,
        timeout: float | None = None,
        keeps_misfits: bool = False,
        since: int = 0,
    ) -> int | None:
        """
        Write those that are not there yet, and ring for them.

        Where the step ran before, those that completed stay, and those that were lost are driven
        on where they failed, once an attempt; what is about something else, never began or has
        undone something gets a new one. At most ``concurrency`` are under way at once: of those to
        be driven on, the first item whose turn comes later is returned, to be given as ``since``
        to another start() once the others have ended. ``timeout`` bounds each from its beginning.
        Raise InputError on an input that does not fit, with nothing written; with
        ``keeps_misfits`` such a child is written as failed.
        """

    def tally(self) -> Mapping[ExecutionStatus, int]:
        """Return how many there are of each status."""

    def all(self) -> Sequence[Execution]:
        """Return them by ``item``, as Store.children() does."""

    def lost(self, most: int) -> Sequence[Execution]:
        """Return at most ``most`` of those that failed or were cancelled, by ``item``."""

    def let_go(self) -> None:
        """Have those that are under way cancelled, once the step's outcome is written."""
