"""Drive executions in a test as workers, a supervisor and people would, without any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django_workflows import wiring
from django_workflows.core import clock
from django_workflows.core.decisions import Decide, wake_up
from django_workflows.core.engine import Engine
from django_workflows.core.engine.chores import Chores
from django_workflows.core.execution import (
    EntryAction,
    ExecutionResult,
    ExecutionStatus,
)
from django_workflows.core.store import Store
from django_workflows.core.waits import Answer, Cause, Wait, WaitKind, WaitStatus
from django_workflows.core.workflow import Workflow
from django_workflows.exceptions import NotResumable, ResponseError
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
    """
    Approve what asks for approval, and answer every halt and event with None.

    What asks for more by a ``response_schema`` refuses that, with a note of what to do.
    """
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

    Raise ResponseError where the answer is not what the step's ``response_schema`` asks for: what
    that is the test has to say. No approver is asked. Its children come along; other executions are
    left alone. The clock stands where the last timer left it; wrap the test in travel() to get it
    back.
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
        family = _family(engine.store, execution_id)
        if not (
            drive_due(engine, family)
            or _answer(engine, family, respond)
            or _skip_time(engine.store, family)
        ):
            raise AssertionError(f"Execution {execution_id} is {result.status} and nothing is due.")
    raise AssertionError(f"Execution {execution_id} did not end in {MOST_ROUNDS} rounds.")


def _family(store: Store, execution_id: str) -> list[str]:
    """Return the ids of an execution and its children, theirs included."""
    family = [execution_id]
    for child in store.find(parent=execution_id, limit=MOST_ROUNDS):
        family += _family(store, child.id)
    return family


def drive_due(engine: Engine, family: Sequence[str]) -> int:
    """Drive what of ``family`` a supervisor would dispatch; return how many that were."""
    store, now = engine.store, clock.now()
    # One after another, what is under way first: so a history is the same after each crash.
    driven = sum(_drive(engine, name) for name in family)
    driven += sum(
        _drive(engine, due.execution_id, wake_up(due, now))
        for due in store.due(now, limit=MOST_ROUNDS)
        if due.execution_id in family
    )
    if driven:
        return driven
    left = [chore for chore in store.chores(now, MOST_ROUNDS) if chore.execution_id in family]
    Chores(store, _leave, _leave).do(left)
    return len(left)


def _drive(engine: Engine, execution_id: str, decide: Decide | None = None) -> bool:
    """Drive an execution if it is pending, or is so by ``decide``; say whether it was."""
    store = engine.store
    try:
        execution = store.transition(execution_id, decide) if decide else store.load(execution_id)
    except NotResumable:
        return False  # the one before has settled this one, too
    if execution.status != ExecutionStatus.PENDING:
        return False
    return engine.sibling(execution.workflow_id).drive(execution_id) is not None


def _leave(*_: object, **__: object) -> None:
    """Wake nobody, and tell nobody: what is pending is found right after."""


def _answer(engine: Engine, family: Sequence[str], respond: Respond) -> bool:
    """Answer the first open wait that a person or an event would."""
    for wait in _open_waits(engine.store, family):
        answer = _answer_to(wait, respond)
        if answer is not None:
            try:
                settled = engine.store.settle(wait.execution_id, wait.id, answer)
            except ResponseError as error:
                if respond is yes:
                    error.add_note(_unanswered(wait))
                raise
            if settled.status == ExecutionStatus.PENDING:
                engine.sibling(settled.workflow_id).drive(settled.id)
            return True
    return False


def _unanswered(wait: Wait) -> str:
    answer = '{"response": …}'
    if wait.kind == WaitKind.APPROVAL:
        answer = '{"approved": True, "response": …}'
    return (
        f"Step {wait.step!r} has a response_schema, and nobody has said what to answer:"
        f" give respond=lambda wait: {answer}."
    )


def _answer_to(wait: Wait, respond: Respond) -> Answer | None:
    given = respond(wait) if wait.kind in _PERSONAL else None
    if given is None:
        return None
    cause = Cause.EVENT if wait.kind == WaitKind.EVENT else Cause.PERSON
    return Answer(**{"cause": cause, **spread(given, wait)})


def _skip_time(store: Store, family: Sequence[str]) -> bool:
    """Travel to the next moment at which something is due, or past the leases of dead drivers."""
    moments = [wait.wake_at for wait in _open_waits(store, family) if wait.wake_at]
    left = store.chores(datetime.max.replace(tzinfo=UTC), MOST_ROUNDS)
    moments += [chore.due_at for chore in left if chore.execution_id in family]
    for execution in map(store.load, family):
        if execution.status == ExecutionStatus.RUNNING and execution.lease_expires_at:
            moments.append(execution.lease_expires_at)
        if execution.status == ExecutionStatus.HALTED and execution.deadline_at:
            moments.append(execution.deadline_at)
    if not moments:
        return False
    clock.travel(max(min(moments) - clock.now(), timedelta(0)) + timedelta(milliseconds=1))
    return True


def taken_path(execution_id: str, store: Store | None = None) -> list[str]:
    """Return the steps that completed, in their order, for a test to compare."""
    entries = (store or wiring.store()).entries(execution_id)
    done = {EntryAction.COMPLETED, EntryAction.SKIPPED, EntryAction.COMPENSATED}
    return [entry.step_id for entry in entries if entry.action in done]


def _open_waits(store: Store, family: Sequence[str]) -> list[Wait]:
    return [wait for name in family for wait in store.waits(name, status=WaitStatus.OPEN)]
