"""No queue: whoever makes an execution pending drives it, at once."""

from __future__ import annotations

from django_workflows.core.execution import Execution
from django_workflows.runners.base import Adapter


class InlineAdapter(Adapter):
    """Drive the execution here and now; the default, and right for tests and commands."""

    def dispatch(self, execution: Execution) -> None:
        """See Adapter.dispatch(). A delayed execution waits for the supervisor."""
        self.drive(execution.id)
