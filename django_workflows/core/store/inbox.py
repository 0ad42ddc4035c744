"""The part of the contract for all that is not an execution: events, chores, who is at work."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django_workflows.core import clock
from django_workflows.core.chores import Chore
from django_workflows.core.presence import Presence
from django_workflows.core.waits import InboxEvent


class KeepsInbox(ABC):
    """See Store."""

    @abstractmethod
    def add_event(self, event: InboxEvent, chore: Chore | None = None) -> InboxEvent:
        """
        Keep an event until a wait takes it; and, as one with it, a chore. Return it.

        Where one of this id is kept already, taken or not, that is returned, and nothing is
        written.
        """

    @abstractmethod
    def next_event(self, topic: str) -> InboxEvent | None:
        """
        Return the oldest event of ``topic`` that no wait has taken, or None.

        A topic is a name, a colon and a key; where the key has colons itself, each of them may be
        the one in between. The event is taken by a Change that names it.
        """

    @abstractmethod
    def chores(self, now: datetime, limit: int = 100) -> list[Chore]:
        """Return chores that were due at ``now``, longest due first."""

    @abstractmethod
    def finish_chore(self, chore_id: str) -> None:
        """Cross off a chore; nothing happens where that was done."""

    @abstractmethod
    def announce(self, presence: Presence) -> None:
        """Write who is at work, in place of what was written under the same id."""

    @abstractmethod
    def present(self) -> list[Presence]:
        """Return what was announced and not dismissed, by started_at."""

    @abstractmethod
    def dismiss(self, presence_id: str) -> None:
        """Forget what was announced under this id."""

    def now(self) -> datetime:
        """Return the time by the store's own clock, where it has one; else by this process's."""
        return clock.now()

    @abstractmethod
    def remember_graph(self, workflow_id: str, version: str, graph: Mapping[str, Any]) -> None:
        """Keep the graph of a version, so that old executions are drawn as they ran."""

    @abstractmethod
    def graph(self, workflow_id: str, version: str) -> dict[str, Any] | None:
        """Return what remember_graph() kept, or None."""
