"""No queue: whoever makes an execution pending drives it, at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from django_workflows.core.presence import Presence
from django_workflows.runners.base import Adapter, Ringable


class InlineAdapter(Adapter):
    """Drive the execution here and now; the default, and right for tests and commands."""

    @property
    def drives_here(self) -> bool:
        """See Adapter.drives_here."""
        return True

    def listeners(self, present: Iterable[Presence]) -> Collection[str] | None:
        """See Adapter.listeners(): whoever rings is there."""
        return None

    def dispatch(self, execution: Ringable) -> None:
        """See Adapter.dispatch(). A delayed execution waits for the supervisor."""
        self.drive(execution.id)
