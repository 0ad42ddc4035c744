"""Answers to waits: bound to one wait before they are given, so that a repeated one is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django_workflows import api, wiring
from django_workflows.core import codec
from django_workflows.core.decisions import choose_wait, give
from django_workflows.core.engine.answering import find_wait
from django_workflows.core.execution import Execution
from django_workflows.core.waits import Answer, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import AlreadyResumed, ExecutionNotFound, NotResumable
from django_workflows.permissions import authorize, authorize_answer, label
from django_workflows.permissions.approvers import asks


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody says to a wait."""

    user: Any
    step: str | None = None  # path or id of the wait
    approved: bool | None = None
    response: Any = None
    is_repeatable: bool = False  # the same once more is no other answer

    def is_answer(self, answer: Answer) -> bool:
        """Say whether ``answer`` is this one, recorded."""
        return (
            answer.by == label(self.user)
            and answer.approved == self.approved
            and codec.dumps(answer.response) == codec.dumps(self.response)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """An answer, as it was recorded."""

    execution: str
    wait: str
    step: str
    approved: bool | None
    response: Any
    by: str | None
    at: Any
    settles: bool

    @classmethod
    def of(cls, wait: Wait, answer: Answer) -> Decision:
        """Return what ``answer``, one of those of ``wait``, came to."""
        before = wait.answers[: wait.answers.index(answer)]
        after = give(replace(wait, answers=before, status=WaitStatus.OPEN), answer)
        return cls(
            execution=wait.execution_id,
            wait=wait.id,
            step=wait.step,
            approved=answer.approved,
            response=answer.response,
            by=answer.by,
            at=answer.at,
            settles=after.status == WaitStatus.SETTLED,
        )


def answer(execution: Execution, said: Said, *, action: str) -> Decision:
    """
    Answer a wait of an execution that the user may view, or of its child; return what is recorded.

    A repeatable answer that was given already is returned as it was. Raise NotAllowed,
    NotResumable, AlreadyResumed, PayloadError.
    """
    authorize(said.user, action, execution)
    store = wiring.store()
    target, step = find_wait(store, execution.id, said.step)
    waits = store.waits(target)
    given = _given(waits, said, step) if said.is_repeatable else []
    asked = store.load(target)
    try:
        wait = choose_wait(asked, waits, step)
    except NotResumable:
        if given:
            return given[-1]
        raise
    if given:
        return _same(given[-1], wait)
    authorize_answer(said.user, asked, wait)
    try:
        api.resume(
            target, step=wait.id, approved=said.approved, response=said.response, by=said.user
        )
    except AlreadyResumed:
        # Perhaps by the same request, a moment ago.
        given = _given(store.waits(target), said, wait.id)
        if said.is_repeatable and given:
            return given[-1]
        raise
    return _given(store.waits(target), said, wait.id)[-1]


def former(execution_id: str, said: Said) -> Decision | None:
    """
    Return what the user said earlier about an execution that they may not view any more, or None.

    Who was asked for an approval may view its execution until it is decided, and is told later who
    was first: AlreadyResumed, or NotResumable where it was withdrawn.
    """
    store = wiring.store()
    try:
        execution = store.load(execution_id)
    except ExecutionNotFound:
        return None
    waits = [wait for wait in store.waits(execution.id) if wait.kind == WaitKind.APPROVAL]
    given = _given(waits, said, said.step) if said.is_repeatable else []
    if given:
        return given[-1]
    for wait in reversed(waits):
        if said.step in {None, wait.step, wait.id} and asks(said.user, wait):
            choose_wait(execution, [wait], wait.id)  # raises: it is not open any more
    return None


def _given(waits: Sequence[Wait], said: Said, step: str | None) -> list[Decision]:
    """Return what was recorded of ``said``, at the waits that ``step`` names or at any."""
    return [
        Decision.of(wait, known)
        for wait in waits
        if step in {None, wait.step, wait.id}
        for known in wait.answers
        if said.is_answer(known)
    ]


def _same(given: Decision, wait: Wait) -> Decision:
    """Return ``given`` where it is an answer to ``wait``; which of two is meant, nobody can say."""
    if given.wait == wait.id:
        return given
    raise NotResumable(
        wait.execution_id,
        f"this answer was given to {given.step!r} at {given.at:%Y-%m-%d %H:%M:%S %Z}; to give it to"
        f" what asks now, name that with step={wait.id!r}",
        open_steps=[wait.step],
    )
