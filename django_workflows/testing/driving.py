"""Drive executions in a test as workers, a supervisor and people would, without any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django_workflows import wiring
from django_workflows.core import clock
from django_workflows.core.decisions import fire
from django_workflows.core.engine import Engine
from django_workflows.core.execution import EntryAction, ExecutionResult, ExecutionStatus
from django_workflows.core.store import DueReason, Store
from django_workflows.core.waits import Answer, Cause, Wait, WaitKind, WaitStatus
from django_workflows.core.workflow import Workflow
from django_workflows.exceptions import NotResumable
from django_workflows.runners.sync import Respond, spread

#: More rounds than any sane workflow needs; a test must end.
MOST_ROUNDS = 1_000

_PERSONAL = {WaitKind.HALT, WaitKind.APPROVAL, WaitKind.EVENT}


@contextmanager
def travel(delta: timedelta | None = None) -> Iterator[Callable[[timedelta], None]]:
    """
    Move this process's clock by ``delta``, and back at the end.

    Yields a function to travel on: ``with travel() as on: …; on(timedelta(days=2))``.
    """
    try:
        if delta is not None:
            clock.travel(delta)
        yield clock.travel
    finally:
        clock.reset()


def yes(wait: Wait) -> Any:
    """Approve what asks for approval, and answer every halt and event with None."""
    return {"approved": True} if wait.kind == WaitKind.APPROVAL else {"response": None}


def run_to_end(
    workflow: type[Workflow] | str,
    input: Mapping[str, Any] | None = None,
    *,
    respond: Respond = yes,
    **options: Any,
) -> ExecutionResult:
    """
    Run a workflow until it has ended: ``respond`` answers its waits, and timers fire at once.

    The clock stands where the last timer left it; wrap the test in travel() to get it back.
    """
    engine = wiring.engine(wiring.definition_of(workflow), here=True)
    result = engine.run(input, **options)
    return bring_to_end(engine, result.execution_id, respond)


def bring_to_end(engine: Engine, execution_id: str, respond: Respond) -> ExecutionResult:
    """Drive whatever is due in the engine's store until the execution has ended."""
    for _ in range(MOST_ROUNDS):
        result = engine.result(execution_id)
        if result.status.is_final:
            return result
        if not (drive_due(engine) or _answer(engine, respond) or _skip_time(engine.store)):
            raise AssertionError(f"Execution {execution_id} is {result.status} and nothing is due.")
    raise AssertionError(f"Execution {execution_id} did not end in {MOST_ROUNDS} rounds.")


def drive_due(engine: Engine) -> int:
    """Drive what a supervisor would dispatch; return how many executions that were."""
    driven = 0
    for due in engine.store.due(clock.now()):
        if due.reason == DueReason.WAIT and due.wait_id is not None:
            try:
                engine.store.transition(due.execution_id, fire(due.wait_id))
            except NotResumable:
                continue
        workflow_id = engine.store.load(due.execution_id).workflow_id
        driven += engine.sibling(workflow_id).drive(due.execution_id) is not None
    return driven


def _answer(engine: Engine, respond: Respond) -> bool:
    """Answer the first open wait that a person or an event would."""
    for wait in engine.store.find_waits(limit=MOST_ROUNDS):
        answer = _answer_to(engine, wait, respond)
        if answer is not None:
            settled = engine.store.settle(wait.execution_id, wait.id, answer)
            if settled.status == ExecutionStatus.PENDING:
                engine.sibling(settled.workflow_id).drive(settled.id)
            return True
    return False


def _answer_to(engine: Engine, wait: Wait, respond: Respond) -> Answer | None:
    if wait.kind not in _PERSONAL:
        return engine.arrived(wait)
    given = respond(wait)
    if given is None:
        return None
    cause = Cause.EVENT if wait.kind == WaitKind.EVENT else Cause.PERSON
    return Answer(**{"cause": cause, **spread(given, wait)})


def _skip_time(store: Store) -> bool:
    """Travel to the next moment at which something is due, or past the leases of dead drivers."""
    moments = [wait.wake_at for wait in store.find_waits(limit=MOST_ROUNDS) if wait.wake_at]
    for status in (ExecutionStatus.RUNNING, ExecutionStatus.HALTED):
        for execution in store.find(status=status, limit=MOST_ROUNDS):
            moments += [at for at in (execution.lease_expires_at,) if at is not None]
    if not moments:
        return False
    clock.travel(max(min(moments) - clock.now(), timedelta(0)) + timedelta(milliseconds=1))
    return True


def taken_path(execution_id: str, store: Store | None = None) -> list[str]:
    """Return the steps that completed, in their order, for a test to compare."""
    entries = (store or wiring.store()).entries(execution_id)
    done = {EntryAction.COMPLETED, EntryAction.SKIPPED, EntryAction.COMPENSATED}
    return [entry.step_id for entry in entries if entry.action in done]


def open_waits_of(store: Store, execution_id: str) -> list[Wait]:
    """Return the open waits of an execution."""
    return store.waits(execution_id, status=WaitStatus.OPEN)
