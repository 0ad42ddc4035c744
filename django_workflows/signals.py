"""
Django signals, sent after the transition was written.

Each is sent with ``sender``, the workflow class (its definition, where a document made it), and
``event``, a core.execution.Event. A receiver that raises is logged and does no harm.
"""

from __future__ import annotations

import logging

from django.dispatch import Signal

from django_workflows.core.execution import Event
from django_workflows.core.workflow import registry

logger = logging.getLogger("django_workflows")

workflow_started = Signal()
workflow_finished = Signal()  # completed, failed or cancelled
workflow_halted = Signal()
workflow_reminded = Signal()  # a wait has stood open for as long as its step asked
step_finished = Signal()  # completed, failed, skipped or compensated

_SIGNALS = {
    "workflow.started": workflow_started,
    "workflow.completed": workflow_finished,
    "workflow.failed": workflow_finished,
    "workflow.cancelled": workflow_finished,
    "workflow.halted": workflow_halted,
    "workflow.reminded": workflow_reminded,
    "step.completed": step_finished,
    "step.failed": step_finished,
    "step.skipped": step_finished,
    "step.compensated": step_finished,
}


def send(event: Event) -> None:
    """Send the signal that belongs to ``event``, if any."""
    signal = _SIGNALS.get(event.name)
    if signal is None or not signal.receivers:
        return
    # A worker that does not know the workflow may cancel it all the same.
    known = event.workflow_id in registry
    definition = registry[event.workflow_id] if known else None
    sender = getattr(definition, "workflow", None) or definition
    for receiver, outcome in signal.send_robust(sender=sender, event=event):
        if isinstance(outcome, Exception):
            logger.error(
                "Receiver %r of %s failed",
                receiver,
                event.name,
                exc_info=outcome,
                extra={"execution_id": event.execution_id},
            )
