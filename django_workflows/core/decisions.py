"""
How answers meet waits: pure rules, which a store applies under the execution's lock.

Written once here, so that every store decides alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.waits import Answer, Cause, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, NotResumable


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a transition makes of an execution."""

    execution: Execution
    entries: Sequence[Entry] = ()
    waits: Sequence[Wait] = ()  # new ones, and those that changed


#: Asked under the lock; raises where the change is not to be. Gets every wait of the execution.
Decide = Callable[[Execution, Sequence[Wait]], Change]
#: Asked under the lock whether this answer may be given; raises NotAllowed.
Permit = Callable[[Execution, Wait], None]


def open_waits(waits: Sequence[Wait]) -> list[Wait]:
    """Return the open ones, in the order in which they were opened."""
    return [wait for wait in waits if wait.status == WaitStatus.OPEN]


def choose_wait(execution: Execution, waits: Sequence[Wait], step: str | None) -> Wait:
    """
    Return the wait that an answer for ``step`` (a path, a wait's id or None) is meant for.

    Raise AlreadyResumed where it was answered before, NotResumable where there is none, or where
    several are open and ``step`` names none of them.
    """
    if step is not None:
        waits = [wait for wait in waits if step in {wait.step, wait.id}]
    candidates = open_waits(waits)
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        steps = [wait.step for wait in candidates]
        raise NotResumable(
            execution.id,
            f"several steps wait, so name one with step=: {', '.join(steps)}",
            open_steps=steps,
        )
    answered = [wait for wait in waits if wait.answers and wait.status != WaitStatus.WITHDRAWN]
    if answered:
        answer = answered[-1].answers[-1]
        raise AlreadyResumed(execution.id, answered[-1].step, answer.by, answer.at)
    named = f" at step {step!r}" if step else ""
    raise NotResumable(execution.id, f"it is {execution.status} and nothing waits{named}.")


def settle(step: str | None, answer: Answer, permit: Permit | None = None) -> Decide:
    """Return the decision that gives ``answer`` to the wait named by ``step``."""

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        wait = choose_wait(execution, waits, step)
        if permit is not None:
            permit(execution, wait)
        refuse_misfit(execution, wait, answer)
        answered = give(wait, answer)
        entry = Entry(
            execution_id=execution.id,
            step_id=wait.step,
            step_type=wait.kind.value,
            action=EntryAction.RESUMED,
            output={"approved": answer.approved, "response": answer.response},
            by=answer.by,
            timestamp=answer.at,
        )
        if answered.status == WaitStatus.OPEN:
            return Change(execution=execution, entries=[entry], waits=[answered])
        return Change(execution=wake(execution), entries=[entry], waits=[answered])

    return decide


def fire(wait_id: str) -> Decide:
    """Return the decision that settles a wait whose time has come."""

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        wait = choose_wait(execution, waits, wait_id)
        answer = Answer(cause=_TIMED.get(wait.kind, Cause.TIMEOUT))
        return settle(wait.id, answer)(execution, waits)

    return decide


_TIMED = {WaitKind.TIMER: Cause.TIMER, WaitKind.RETRY: Cause.RETRY}


def refuse_misfit(execution: Execution, wait: Wait, answer: Answer) -> None:
    """Raise NotResumable where a person's answer cannot be an answer to ``wait``."""
    if answer.cause != Cause.PERSON:
        return
    if wait.kind == WaitKind.APPROVAL and not isinstance(answer.approved, bool):
        raise NotResumable(
            execution.id, f"step {wait.step!r} is an approval: answer approved=True or False."
        )
    if any(given.by == answer.by for given in wait.answers):
        given = next(given for given in wait.answers if given.by == answer.by)
        raise AlreadyResumed(execution.id, wait.step, given.by, given.at)


def give(wait: Wait, answer: Answer) -> Wait:
    """Return ``wait`` with ``answer``: settled, unless it is an approval that takes more."""
    answers = (*wait.answers, answer)
    approvals = sum(1 for given in answers if given.approved)
    lacks = wait.kind == WaitKind.APPROVAL and answer.approved and approvals < wait.required
    if lacks:
        return replace(wait, answers=answers)
    return replace(wait, answers=answers, status=WaitStatus.SETTLED, settled_at=answer.at)


def wake(execution: Execution) -> Execution:
    """Return ``execution`` ready to be driven, where it was halted; otherwise as it is."""
    if execution.status != ExecutionStatus.HALTED:
        return execution
    return replace(
        execution,
        status=ExecutionStatus.PENDING,
        recover_to=None,
        halt_data=None,
        claims=0,
    )
