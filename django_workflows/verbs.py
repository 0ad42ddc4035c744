"""The public functions by which people step in: cancel, retry, skip and fork; part of api.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_workflows import wiring
from django_workflows.conf import settings
from django_workflows.core import codec, control
from django_workflows.core.engine.arriving import tell_parent
from django_workflows.core.engine.orphans import cancel_children, cancel_tree
from django_workflows.core.execution import EntryAction, Execution
from django_workflows.core.forking import forked
from django_workflows.core.inputs import checked
from django_workflows.core.workflow import registry
from django_workflows.exceptions import PayloadError
from django_workflows.permissions import label


def cancel(execution_id: str, reason: str = "", by: Any = None) -> Execution:
    """
    End an execution that is under way, and its children; return it.

    A step that runs at this moment is not interrupted, but its checkpoint is refused. Raise
    ExecutionNotFound, or InvalidTransition where it has ended.
    """
    store = wiring.store()
    with store.atomic():
        cancelled = cancel_tree(store, str(execution_id), reason, label(by), _cancelled)
    # As after any end of a child: in a transaction of its own, which locks the parent first.
    store.on_commit(lambda: tell_parent(store, cancelled, wiring.dispatch))
    return cancelled


def _cancelled(execution: Execution, reason: str) -> None:
    wiring.tell("workflow.cancelled", execution, reason=reason)


def retry(
    execution_id: str,
    from_step: str | None = None,
    input: Mapping[str, Any] | None = None,
    by: Any = None,
) -> Execution:
    """
    Drive a failed or cancelled execution again, from the step that failed or from ``from_step``.

    ``input`` replaces its input. Raise ExecutionNotFound, InvalidTransition (also where its steps
    were compensated and no ``from_step`` says where to begin), InputError.
    """
    store = wiring.store()
    execution = store.load(str(execution_id))
    definition = registry[execution.workflow_id]
    cleaned = None
    if input is not None:
        cleaned = checked(definition.input, definition.id, input, settings.MAX_PAYLOAD_BYTES)
    decide = control.retry(
        definition,
        from_step=from_step,
        input=cleaned,
        by=label(by),
        undone=_undone(execution.id),
    )
    again = store.transition(execution.id, decide)
    wiring.dispatch(again)
    return again


def _undone(execution_id: str) -> list[str]:
    """Return the paths of the steps that were compensated, and not begun again since."""
    undone: list[str] = []
    for entry in wiring.store().entries(execution_id):
        if entry.action == EntryAction.COMPENSATED:
            undone.append(entry.step_id.partition(":")[2])
        elif entry.action == EntryAction.RETRIED and entry.error is None:  # by hand
            undone.clear()
    return undone


def skip(execution_id: str, output: Any = None, reason: str = "", by: Any = None) -> Execution:
    """
    Take the step at which an execution failed or halts as done with ``output``, and go on after it.

    Raise ExecutionNotFound, InvalidTransition (also where its steps were compensated, so that
    what comes after would build on what is no more), PayloadError.
    """
    store = wiring.store()
    execution = store.load(str(execution_id))
    definition, step = registry[execution.workflow_id], execution.current_step
    decide = control.skip(
        definition,
        output=storable("output", output),
        reason=reason,
        by=label(by),
        undone=_undone(execution.id),
    )
    with store.atomic():
        skipped = store.transition(execution.id, decide)
        wiring.tell("step.skipped", skipped, step, output=output, reason=reason)
        because = f"step {step!r} of its parent was skipped"
        cancel_children(store, skipped.id, because, label(by), _cancelled)
        wiring.dispatch(skipped)
    return skipped


def fork(execution_id: str, from_step: str, by: Any = None) -> Execution:
    """
    Start a new execution at ``from_step``, with input and ctx as they were there; return it.

    Raise ExecutionNotFound, or InvalidTransition where the execution never came to that step.
    """
    store = wiring.store()
    execution = store.load(str(execution_id))
    definition = registry[execution.workflow_id]
    history = store.entries(execution.id)
    new, entry = forked(definition, execution, history, from_step, label(by))
    created = store.create(new, [entry])
    wiring.dispatch(created)
    return created


def storable(name: str, value: Any) -> Any:
    """Return ``value`` as it will read after storage. Raise PayloadError naming ``name``."""
    try:
        text = codec.dumps(value)
    except PayloadError as error:
        dot = "." if error.path and not error.path.startswith("[") else ""
        raise PayloadError(f"{name}{dot}{error.path}", error.reason) from error
    limit = settings.MAX_PAYLOAD_BYTES
    if len(text) > limit:
        raise PayloadError(
            name, f"{len(text):,} bytes are more than MAX_PAYLOAD_BYTES ({limit:,}) allows"
        )
    return codec.loads(text)
