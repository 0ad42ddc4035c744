"""
How answers meet waits: pure rules, which a store applies under the execution's lock.

Written once here, so that every store decides alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from django_workflows.core import clock, schemas
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.execution import Entry, EntryAction, Execution, ExecutionStatus
from django_workflows.core.waits import Answer, Cause, InboxEvent, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, NotResumable, ResponseError


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a transition makes of an execution."""

    execution: Execution
    entries: Sequence[Entry] = ()
    waits: Sequence[Wait] = ()  # new ones, and those that changed
    chores: Sequence[Chore] = ()
    event: InboxEvent | None = None  # given to the wait ``taken_by``, unless it is taken already


#: Asked under the lock; raises where the change is not to be. Gets every wait of the execution.
Decide = Callable[[Execution, Sequence[Wait]], Change]


class Noted:
    """A decision that keeps its ``entries``, for what is to follow once they are written."""

    def __init__(self, decide: Decide) -> None:
        self.decide = decide
        self.entries: Sequence[Entry] = ()

    def __call__(self, execution: Execution, waits: Sequence[Wait]) -> Change:
        """See Decide. Asked twice, as after a deadlock, it keeps the later ones."""
        change = self.decide(execution, waits)
        self.entries = change.entries
        return change


#: Asked under the lock whether this answer may be given; raises NotAllowed.
Permit = Callable[[Execution, Wait], None]


def open_waits(waits: Sequence[Wait]) -> list[Wait]:
    """Return the open ones, in the order in which they were opened."""
    return [wait for wait in waits if wait.status == WaitStatus.OPEN]


def choose_wait(
    execution: Execution,
    waits: Sequence[Wait],
    step: str | None,
    cause: Cause = Cause.PERSON,
) -> Wait:
    """
    Return the wait that an answer for ``step`` (a path, a wait's id or None) is meant for.

    A person's that names none is for a wait that asks somebody. It may come late, from who has not
    seen what came next: so it ends no sleep or pause, and stands in for no event.

    Raise AlreadyResumed where it was answered before, NotResumable where there is none, or where
    several are open and ``step`` names none of them.
    """
    if step is not None:
        waits = [wait for wait in waits if step in {wait.step, wait.id}]
    candidates = open_waits(waits)
    unasked = []
    # Before the first claim nothing can have been asked: it may be begun before its time.
    if step is None and cause == Cause.PERSON and execution.started_at is not None:
        unasked = [wait for wait in candidates if wait.kind not in _ASKING]
        candidates = [wait for wait in candidates if wait.kind in _ASKING]
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
    if unasked:
        answered = [wait for wait in answered if wait.answers[-1].cause == Cause.PERSON]
    if answered:
        answer = answered[-1].answers[-1]
        how = _HOW.get(answer.cause)
        raise AlreadyResumed(execution.id, answered[-1].step, answer.by, answer.at, how=how)
    if unasked:
        steps = [wait.step for wait in unasked]
        listed = ", ".join(f"{wait.kind} at {wait.step!r}" for wait in unasked)
        raise NotResumable(
            execution.id,
            f"what it waits for asks nobody ({listed}); to go on all the same, name it with step=",
            open_steps=steps,
        )
    named = f" at step {step!r}" if step else ""
    raise NotResumable(execution.id, f"it is {execution.status} and nothing waits{named}.")


#: Waits of these kinds ask somebody.
_ASKING = {WaitKind.HALT, WaitKind.APPROVAL, WaitKind.CHILD}

#: What is said of a wait that no person has answered.
_HOW = {
    Cause.CHILD: "was ended by its child",
    Cause.TIMEOUT: "timed out",
    Cause.TIMER: "came to its time",
    Cause.RETRY: "was attempted again",
}


def settle(step: str | None, answer: Answer, permit: Permit | None = None) -> Decide:
    """Return the decision that gives ``answer`` to the wait named by ``step``."""

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        wait = choose_wait(execution, waits, step, answer.cause)
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


def take(wait_id: str, event: InboxEvent) -> Decide:
    """Return the decision that gives an event to a wait: both, or neither where it is closed."""
    answer = Answer(response=event.data, by=event.by, cause=Cause.EVENT)

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        change = settle(wait_id, answer)(execution, waits)
        return replace(change, event=replace(event, taken_by=wait_id))

    return decide


class DueReason(StrEnum):
    """Why the supervisor looks at an execution."""

    EXPIRED = "expired"  # its driver's lease ran out
    WAIT = "wait"  # a wait's time has come
    REMINDER = "reminder"  # a wait has stood open for as long as its step asked
    DEADLINE = "deadline"  # halted past its deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One thing that nobody is doing."""

    reason: DueReason
    execution_id: str
    wait_id: str | None = None


def wake_up(due: Due, now: datetime) -> Decide:
    """
    Return the decision on what is due at ``now``.

    Asked under the lock, it raises NotResumable where another hand was quicker.
    """

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        if due.reason == DueReason.EXPIRED:
            return _given_up(execution, now)
        if due.reason == DueReason.DEADLINE:
            return _past_deadline(execution, now)
        wait = choose_wait(execution, waits, due.wait_id)
        if due.reason == DueReason.REMINDER:
            return _reminded(execution, wait, now)
        if wait.wake_at is None or wait.wake_at > now:
            raise NotResumable(execution.id, f"the time of {wait.step!r} has not come")
        answer = Answer(cause=_TIMED.get(wait.kind, Cause.TIMEOUT))
        return settle(wait.id, answer)(execution, waits)

    return decide


_TIMED = {WaitKind.TIMER: Cause.TIMER, WaitKind.RETRY: Cause.RETRY}


def _given_up(execution: Execution, now: datetime) -> Change:
    """Take the lease from a driver that has been silent for too long."""
    until = execution.lease_expires_at
    if execution.status != ExecutionStatus.RUNNING or (until is not None and until >= now):
        raise NotResumable(execution.id, "its driver lives")
    entry = Entry(
        execution_id=execution.id,
        step_id=execution.current_step or "",
        action=EntryAction.ABANDONED,
        attempt=execution.attempt,
        output={"driver": execution.lease_owner, "until": until},
    )
    # The fence grows, so that nothing is written by a driver that was only slow.
    return Change(execution=_without_driver(execution, now), entries=[entry])


def _without_driver(execution: Execution, now: datetime) -> Execution:
    return replace(
        execution,
        status=ExecutionStatus.PENDING,
        lease_owner=None,
        lease_expires_at=None,
        fence=execution.fence + 1,
        updated_at=now,
    )


def surrender(fence: int) -> Decide:
    """
    Return the decision by which a driver that lost its store on the way gives the lease back.

    Raise NotResumable where it is not the driver any more.
    """

    def decide(execution: Execution, waits: Sequence[Wait]) -> Change:
        if execution.status != ExecutionStatus.RUNNING or execution.fence != fence:
            raise NotResumable(execution.id, "another drives it")
        return Change(execution=_without_driver(execution, clock.now()))

    return decide


def _past_deadline(execution: Execution, now: datetime) -> Change:
    # Driven once more, the engine sees the deadline and fails it by the book.
    deadline = execution.deadline_at
    if execution.status != ExecutionStatus.HALTED or deadline is None or deadline > now:
        raise NotResumable(execution.id, "it is not halted past a deadline")
    if execution.error is not None:
        raise NotResumable(execution.id, "it has failed, and what it did is being undone")
    return Change(execution=wake(execution))


def _reminded(execution: Execution, wait: Wait, now: datetime) -> Change:
    if wait.remind_at is None or wait.remind_at > now:
        raise NotResumable(execution.id, f"nobody has to be reminded of {wait.step!r}")
    entry = Entry(
        execution_id=execution.id,
        step_id=wait.step,
        step_type=wait.kind.value,
        action=EntryAction.REMINDED,
        output={"waits_since": wait.opened_at},
    )
    chore = Chore(kind=ChoreKind.REMIND, execution_id=execution.id, target=wait.id, due_at=now)
    reminded = replace(wait, remind_at=None)
    return Change(execution=execution, entries=[entry], waits=[reminded], chores=[chore])


def refuse_misfit(execution: Execution, wait: Wait, answer: Answer) -> None:
    """
    Raise NotResumable where a person's answer cannot be an answer to ``wait``.

    Raise ResponseError where it is not what the step asks for; a rejection need not be.
    """
    if answer.cause != Cause.PERSON:
        return
    if wait.kind == WaitKind.APPROVAL and not isinstance(answer.approved, bool):
        raise NotResumable(
            execution.id, f"step {wait.step!r} is an approval: answer approved=True or False."
        )
    if wait.kind != WaitKind.APPROVAL and answer.approved is not None:
        raise NotResumable(
            execution.id, f"step {wait.step!r} is no approval: answer it with response=."
        )
    if any(given.by == answer.by for given in wait.answers):
        given = next(given for given in wait.answers if given.by == answer.by)
        raise AlreadyResumed(execution.id, wait.step, given.by, given.at)
    schema = None if answer.approved is False else schemas.response_schema(wait.data)
    if schema is not None and (errors := schemas.breaches(schema, answer.response)):
        raise ResponseError(execution.id, wait.step, errors)


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
        updated_at=clock.now(),
    )
