"""Why an execution is halted (Wait), and what was said to it (Answer, InboxEvent)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django_workflows.core import clock
from django_workflows.core.ids import new_id
from django_workflows.core.records import Record, as_value, wire


class WaitKind(StrEnum):
    """Why an execution is halted."""

    HALT = "halt"
    APPROVAL = "approval"
    TIMER = "timer"
    EVENT = "event"
    CHILD = "child"
    RETRY = "retry"


class WaitStatus(StrEnum):
    """How far a wait has come."""

    OPEN = "open"
    SETTLED = "settled"  # answered, and not yet acted on
    TAKEN = "taken"  # the execution went on with the answer
    WITHDRAWN = "withdrawn"  # no longer wanted: cancelled, skipped, or its parallel is done


class Cause(StrEnum):
    """What settled a wait."""

    PERSON = "person"
    TIMER = "timer"
    TIMEOUT = "timeout"
    EVENT = "event"
    CHILD = "child"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Record):
    """What somebody or something says to a wait."""

    response: Any = None
    approved: bool | None = None
    by: str | None = None
    at: datetime = field(default_factory=clock.now)
    cause: Cause = as_value(Cause, default=Cause.PERSON)


def _write_answers(answers: tuple[Answer, ...]) -> list[dict[str, Any]]:
    return [answer.to_dict() for answer in answers]


def _read_answers(data: list[dict[str, Any]]) -> tuple[Answer, ...]:
    return tuple(Answer.from_dict(item) for item in data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait(Record):
    """One reason why an execution is halted."""

    id: str = field(default_factory=new_id)
    execution_id: str
    step: str  # path of the step that waits
    kind: WaitKind = as_value(WaitKind, default=WaitKind.HALT)
    status: WaitStatus = as_value(WaitStatus, default=WaitStatus.OPEN)
    prompt: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    resume_step: str | None = None
    approvers: tuple[str, ...] = ()
    required: int = 1  # approvals it takes
    exclude_requester: bool = False
    wake_at: datetime | None = None
    remind_at: datetime | None = None
    key: str | None = None
    opened_at: datetime = field(default_factory=clock.now)
    settled_at: datetime | None = None
    answers: tuple[Answer, ...] = wire(_write_answers, _read_answers, default=())

    @property
    def answer(self) -> Answer | None:
        """Return the answer that settled it; of several approvals, the last."""
        return self.answers[-1] if self.answers and self.status != WaitStatus.OPEN else None


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxEvent(Record):
    """Something sent by ``send_event``: kept until a wait takes it."""

    id: str = field(default_factory=new_id)
    name: str
    key: str = ""
    data: Any = None
    by: str | None = None
    sent_at: datetime = field(default_factory=clock.now)
    taken_by: str | None = None  # id of the wait that it was given to

    @property
    def topic(self) -> str:
        """Return what a wait's ``key`` must be to take this event."""
        return f"{self.name}:{self.key}"
