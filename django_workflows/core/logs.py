"""A log record for each transition, with the facts that a log is searched by in ``extra``."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django_workflows.core.execution import Entry, EntryAction, Event, Execution

logger = logging.getLogger("django_workflows")

#: Logged where they happen, with their error.
_LOGGED_ELSEWHERE = {"step.failed", "step.retried", "workflow.failed"}


def log(event: Event) -> None:
    """
    Log what happened, after it was written.

    ``extra`` has execution_id, workflow_id, step, attempt and event.
    """
    if event.name in _LOGGED_ELSEWHERE:
        return
    level = logging.DEBUG if event.name == "step.started" else logging.INFO
    if not logger.isEnabledFor(level):
        return
    at = f" at {event.step}" if event.step else ""
    logger.log(
        level, "%s of execution %s%s", event.name, event.execution_id, at, extra=extra_of(event)
    )


def log_entries(execution: Execution, entries: Iterable[Entry]) -> None:
    """
    Log what was decided on an execution that nobody drives, after it was written.

    An expired lease is a warning. ``extra`` has execution_id, workflow_id, step, attempt and
    action. Of a reminder nothing is logged: its event is.
    """
    for entry in entries:
        if entry.action == EntryAction.REMINDED:
            continue
        is_lost = entry.action == EntryAction.ABANDONED
        logger.log(
            logging.WARNING if is_lost else logging.INFO,
            "Step %s of execution %s %s",
            entry.step_id,
            execution.id,
            f"abandoned by {entry.output['driver']}" if is_lost else entry.action,
            extra={
                "execution_id": execution.id,
                "workflow_id": execution.workflow_id,
                "step": entry.step_id,
                "attempt": entry.attempt,
                "action": entry.action,
            },
        )


def extra_of(event: Event) -> dict[str, object]:
    """Return the facts of an event as a log record has them."""
    return {
        "event": event.name,
        "execution_id": event.execution_id,
        "workflow_id": event.workflow_id,
        "step": event.step,
        "attempt": event.attempt,
    }
