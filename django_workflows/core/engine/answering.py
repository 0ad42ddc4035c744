"""For which wait an answer is meant."""

from __future__ import annotations

from contextlib import suppress

from django_workflows.core.engine.arriving import refuse_group
from django_workflows.core.store import Store
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionNotFound

_UNASKED = {WaitKind.TIMER, WaitKind.EVENT, WaitKind.RETRY}


def find_wait(store: Store, execution_id: str, step: str | None) -> tuple[str, str | None]:
    """
    Return the execution and step that an answer is meant for: through children, to the last.

    Resuming a parent that waits for its child resumes the child. Raise NotResumable where it
    waits for a group of them.
    """
    execution = store.load(execution_id)
    waits = store.waits(execution.id, status=WaitStatus.OPEN)
    named = [wait for wait in waits if step in {None, wait.step, wait.id}]
    if step is None:  # what asks nobody is meant by name only, see choose_wait()
        named = [wait for wait in named if wait.kind not in _UNASKED]
    if len(named) == 1 and named[0].kind == WaitKind.CHILD and named[0].key:
        return find_wait(store, named[0].key, None)
    refuse_group(store, waits, step)
    if not named and (child := _answered_child(store, execution.id, step)):
        return find_wait(store, child, None)
    return execution.id, step


def _answered_child(store: Store, execution_id: str, step: str | None) -> str | None:
    """Return the child that a late answer was meant for: it tells who was first, and when."""
    waits = store.waits(execution_id)
    children = [wait for wait in waits if step is None or step in {wait.step, wait.id}]
    if not children or children[-1].kind != WaitKind.CHILD or not children[-1].key:
        return None
    child = children[-1].key
    with suppress(ExecutionNotFound):
        if any(wait.answers for wait in store.waits(store.load(child).id)):
            return child
    return None
