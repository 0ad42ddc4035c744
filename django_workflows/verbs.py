"""The public functions by which people step in: cancel, retry, skip and fork; part of api.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from django_workflows import wiring
from django_workflows.conf import settings
from django_workflows.core import codec, control
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change, Decide
from django_workflows.core.engine.orphans import end
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.forking import forked
from django_workflows.core.inputs import checked
from django_workflows.core.store import Store
from django_workflows.core.undoing import undone
from django_workflows.core.waits import Wait, WaitKind, WaitStatus
from django_workflows.core.workflow import registry
from django_workflows.permissions import label, permit


def cancel(
    execution_id: str,
    reason: str = "",
    by: Any = None,
    *,
    compensate: bool = False,
    expected_revision: str | None = None,
) -> Execution:
    """
    End an execution that is under way, and its children; return it.

    A step that runs at this moment is not interrupted, but its checkpoint is refused. With
    ``compensate`` a worker first undoes what the completed steps did, in reverse; until then it is
    pending, with the cancellation as its error. Children do the same, each by itself. With
    ``expected_revision``, the ``revision`` of an execution that was read before, it is done to that
    alone, and to none that has moved on since. Raise ExecutionNotFound, or InvalidTransition where
    it has ended, is being undone already, or has moved on.
    """
    store = wiring.store()
    with store.atomic():
        cancelled, left = end(
            store,
            str(execution_id),
            reason,
            label(by),
            _cancelled,
            compensate=compensate,
            expected_revision=expected_revision,
        )
        # Its children and its parent: in transactions of their own, which lock parents first.
        wiring.do_on_commit(left)
        if cancelled.status == ExecutionStatus.PENDING:
            wiring.dispatch(cancelled)
    return cancelled


def _cancelled(execution: Execution, reason: str) -> None:
    wiring.tell("workflow.cancelled", execution, reason=reason)


def retry(
    execution_id: str,
    from_step: str | None = None,
    input: Mapping[str, Any] | None = None,
    by: Any = None,
    reason: str = "",
    *,
    expected_revision: str | None = None,
) -> Execution:
    """
    Drive a failed or cancelled execution again, from the step that failed or from ``from_step``.

    That is a step which it has come to. ``input`` replaces its input; the history keeps both. What
    was approved was approved for its input: with another one it begins at or before the approval.
    For ``expected_revision`` see cancel(). Raise ExecutionNotFound, InvalidTransition (also where
    its steps were compensated and no ``from_step`` says where to begin), InputError.
    """
    store = wiring.store()
    execution = store.load(str(execution_id))
    definition = registry[execution.workflow_id]
    cleaned = None
    if input is not None:
        cleaned = checked(definition.input, definition.id, input, settings.MAX_PAYLOAD_BYTES)
    again = _decided(
        execution,
        lambda history: control.as_shown(
            expected_revision,
            "retry",
            control.retry(
                definition,
                from_step=from_step,
                input=cleaned,
                by=label(by),
                history=history,
                reason=reason,
            ),
        ),
    )
    wiring.dispatch(again)
    return again


class _Moved(Exception):
    """It has been driven since its history was read."""


def _decided(execution: Execution, decision: Callable[[Sequence[Entry]], Decide]) -> Execution:
    """
    Change an execution as ``decision`` says, told its history; return it as it then stands.

    History is read before the lock is taken, and again where the execution was driven in between.
    """
    store = wiring.store()
    while True:
        decide = decision(store.entries(execution.id))
        try:
            return store.transition(execution.id, _unless_moved(execution.fence, decide))
        except _Moved:
            execution = store.load(execution.id)


def _unless_moved(fence: int, decide: Decide) -> Decide:
    """Return ``decide``, raising _Moved where the execution has another fence by now."""

    def unmoved(stored: Execution, waits: Sequence[Wait]) -> Change:
        if stored.fence != fence:
            raise _Moved
        return decide(stored, waits)

    return unmoved


def skip(
    execution_id: str,
    output: Any = None,
    reason: str = "",
    by: Any = None,
    *,
    expected_revision: str | None = None,
) -> Execution:
    """
    Take the step at which an execution failed or halts as done with ``output``, and go on after it.

    To go past an approval is to decide it, here and in children: the same people may. For
    ``expected_revision`` see cancel(); without it, the step is the one where it stands by now.
    Raise ExecutionNotFound, InvalidTransition (also where its steps were compensated, so that what
    comes after would build on what is no more), NotAllowed, PayloadError.
    """
    store = wiring.store()
    execution = store.load(str(execution_id))
    definition, step = registry[execution.workflow_id], execution.current_step
    unwanted = Chore(
        kind=ChoreKind.CANCEL_CHILDREN,
        execution_id=execution.id,
        reason=f"step {step!r} of its parent was skipped",
        by=label(by),
    )
    given, may = storable("output", output), permit(by, store.entries)
    for wait in _approvals(store, execution.id):
        if wait.execution_id != execution.id:  # its own are asked for under the lock
            may(store.load(wait.execution_id), wait)
    with store.atomic():
        skipped = _decided(
            execution,
            lambda history: control.as_shown(
                expected_revision,
                "skip",
                control.skip(
                    definition,
                    output=given,
                    reason=reason,
                    by=label(by),
                    undone=undone(history),
                    chores=[unwanted],
                    permit=may,
                ),
            ),
        )
        wiring.tell("step.skipped", skipped, step, output=output, reason=reason)
        wiring.do_on_commit([unwanted])
        wiring.dispatch(skipped)
    return skipped


def _approvals(store: Store, execution_id: str) -> Iterator[Wait]:
    """Yield the approvals that a halted execution waits for, and those that its children do."""
    for wait in store.waits(execution_id, status=WaitStatus.OPEN):
        if wait.kind == WaitKind.APPROVAL:
            yield wait
        elif wait.kind == WaitKind.CHILD and wait.key:
            yield from _approvals(store, wait.key)
        elif wait.kind == WaitKind.CHILD:
            for child in store.execution_ids(
                parent=execution_id, parent_step=wait.step, status=ExecutionStatus.HALTED
            ):
                yield from _approvals(store, child)


def fork(
    execution_id: str,
    from_step: str,
    by: Any = None,
    reason: str = "",
    *,
    expected_revision: str | None = None,
) -> Execution:
    """
    Start a new execution at ``from_step``, with input and ctx as they were there; return it.

    For ``expected_revision`` see cancel(). Raise ExecutionNotFound, or InvalidTransition where the
    execution never came to that step, or an approval before it was for another input.
    """
    store = wiring.store()
    execution = store.load(str(execution_id))
    control.refuse_moved(execution, expected_revision, "fork")  # it is read, and not changed
    definition = registry[execution.workflow_id]
    history = store.entries(execution.id)
    new, entry = forked(definition, execution, history, from_step, by=label(by), reason=reason)
    created = store.create(new, [entry])
    wiring.dispatch(created)
    return created


def storable(name: str, value: Any) -> Any:
    """Return ``value`` as it will read after storage. Raise PayloadError naming ``name``."""
    return codec.kept(name, value, settings.MAX_PAYLOAD_BYTES)
