"""What a run leaves behind (Execution, Entry, Wait, Event) and what its steps see of it (State)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from django_workflows.core import clock
from django_workflows.core.frames import Cursor
from django_workflows.core.ids import new_id
from django_workflows.core.records import Record, as_value, evolve, wire
from django_workflows.core.waits import Wait, WaitKind
from django_workflows.exceptions import ExecutionFailed


class ExecutionStatus(StrEnum):
    """Where an execution stands in its life."""

    PENDING = "pending"  # committed, and waiting for a driver
    RUNNING = "running"  # a driver holds its lease
    COMPLETED = "completed"
    HALTED = "halted"  # durably suspended: nothing is held meanwhile
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether nothing happens any more unless somebody asks for it."""
        return self in FINAL_STATUSES


FINAL_STATUSES = frozenset(
    {ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinueResult:
    """A step decided to go on."""

    next_step: str | None = None  # None: the step's own next
    output: Any = None
    has_output: bool = True  # False: the step is of a kind without an output
    finish: bool = False  # the workflow ends here, with the output as its result
    stopped: bool = False  # a nested step came to no end: the parallel around it had enough


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltResult:
    """A step decided to stop here until an answer comes; becomes a Wait."""

    data: Mapping[str, Any] = field(default_factory=dict)
    resume_step: str | None = None  # where to go on; None: at this step
    prompt: str | None = None
    kind: WaitKind = WaitKind.HALT
    wake_at: datetime | None = None  # when a timer, timeout or retry is due
    remind_at: datetime | None = None
    key: str | None = None  # the event's name and key, or the child's id
    approvers: tuple[str, ...] = ()
    required: int = 1
    exclude_requester: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepOutcome:
    """The state after a step, and what the step decided."""

    state: State
    result: ContinueResult | HaltResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionResult:
    """What ``run``, ``resume`` and ``wait`` return."""

    status: ExecutionStatus
    execution_id: str
    output: Any = None
    halt: HaltResult | None = None
    error: str | None = None
    waits: tuple[Wait, ...] = ()  # every open one, where it is halted
    exception: BaseException | None = field(default=None, compare=False, repr=False)

    def raise_for_status(self) -> Self:
        """Return self, or raise ExecutionFailed where it failed or was cancelled."""
        if self.status in {ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}:
            raise ExecutionFailed(self.execution_id, self.status, self.error) from self.exception
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """
    What a step receives. ``ctx`` contains user workflow variables only.

    ``input`` and ``ctx`` are read-only: a step changes variables by what it returns.
    """

    execution_id: str
    workflow_id: str
    workflow_version: str = ""
    input: Mapping[str, Any] = field(default_factory=dict)
    ctx: Mapping[str, Any] = field(default_factory=dict)
    current_step: str | None = None
    path: str = ""  # the step with its place: ``each_item[3]/charge``
    attempt: int = 1
    #: The record this state was read from: bookkeeping that is no step's business.
    origin: Execution | None = field(default=None, compare=False, repr=False)
    reader: Callable[[], Sequence[Entry]] | None = field(default=None, compare=False, repr=False)

    @property
    def idempotency_key(self) -> str:
        """Name execution, step path and iteration: the same at every attempt at this step."""
        return f"{self.execution_id}:{self.path or self.current_step}"

    @property
    def started_by(self) -> str | None:
        """Return who started the execution, where that was said."""
        return self.origin.started_by if self.origin else None

    @property
    def subject(self) -> str | None:
        """Return the model instance the execution is about, as ``app.model:pk``."""
        return self.origin.subject if self.origin else None

    @property
    def history(self) -> list[Entry]:
        """Read the entries written so far from the store."""
        return list(self.reader()) if self.reader else []

    def with_ctx(self, /, **variables: Any) -> State:
        """Return a copy with ``variables`` set in ctx."""
        return evolve(self, ctx={**self.ctx, **variables})

    def without_ctx(self, *names: str) -> State:
        """Return a copy with the variables ``names`` dropped from ctx."""
        kept = {name: value for name, value in self.ctx.items() if name not in names}
        return evolve(self, ctx=kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation(Record):
    """A completed step that is to be undone should the execution fail."""

    step: str  # path of the completed step
    target: str  # the step that undoes it
    ctx: Mapping[str, Any] = field(
        default_factory=dict
    )  # what it saw that later steps may have changed
    attempt: int = 1


def _write_compensations(compensations: tuple[Compensation, ...]) -> list[dict[str, Any]]:
    return [compensation.to_dict() for compensation in compensations]


def _read_compensations(data: list[dict[str, Any]]) -> tuple[Compensation, ...]:
    return tuple(Compensation.from_dict(item) for item in data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution(Record):
    """The persistent record of one run: what a store saves and loads."""

    id: str = field(default_factory=new_id)  # UUIDv7
    workflow_id: str
    workflow_version: str = ""
    status: ExecutionStatus = as_value(ExecutionStatus, default=ExecutionStatus.PENDING)
    input: Mapping[str, Any] = field(default_factory=dict)
    ctx: Mapping[str, Any] = field(default_factory=dict)  # user variables only
    current_step: str | None = None
    frames: Cursor = wire(Cursor.to_dict, Cursor.from_dict, default=Cursor())  # noqa: RUF009
    result: Any = None  # once completed
    recover_to: str | None = None  # while halted: where the first open wait goes on
    halt_data: Mapping[str, Any] | None = None  # while halted: data of the first open wait
    error: str | None = None  # ``ValueError: message``; while running: compensating for it
    created_at: datetime = field(default_factory=clock.now)
    updated_at: datetime = field(default_factory=clock.now)
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deadline_at: datetime | None = None
    compensations: tuple[Compensation, ...] = wire(
        _write_compensations, _read_compensations, default=()
    )  # in the order in which their steps completed
    lease_owner: str | None = None
    lease_expires_at: datetime | None = None
    fence: int = 0  # grows with every claim
    claims: int = 0  # claims since a step last finished
    attempt: int = 1  # at the current step
    parent: str | None = None
    parent_step: str | None = None  # path of the parent's step that started it
    item: int | None = None  # which of that step's children it is, from 0
    idempotency_key: str | None = None  # unique in its workflow
    subject: str | None = None  # the model instance it is about: ``app.model:pk``
    started_by: str | None = None
    queue: str | None = None
    priority: int = 0  # higher goes first

    @property
    def revision(self) -> str:
        """Return what is another after each claim, answer, end or verb; see revision_of()."""
        return revision_of(self.fence, self.status)

    def to_state(self) -> State:
        """Return what a step would see now."""
        return State(
            execution_id=self.id,
            workflow_id=self.workflow_id,
            workflow_version=self.workflow_version,
            input=self.input,
            ctx=self.ctx,
            current_step=self.current_step,
            path=self.current_step or "",
            attempt=self.attempt,
            origin=self,
        )

    @classmethod
    def from_state(cls, state: State, result: ExecutionResult) -> Execution:
        """Return the record of ``state`` with the outcome ``result``."""
        known = {
            "workflow_id": state.workflow_id,
            "workflow_version": state.workflow_version,
            "status": result.status,
            "input": state.input,
            "ctx": state.ctx,
            "current_step": state.current_step,
            "attempt": state.attempt,
            "result": result.output,
            "recover_to": result.halt.resume_step if result.halt else None,
            "halt_data": result.halt.data if result.halt else None,
            "error": result.error,
        }
        if state.origin is None:
            return cls(id=state.execution_id, **known)
        return replace(state.origin, **known)

    def to_result(
        self, waits: Sequence[Wait] = (), exception: BaseException | None = None
    ) -> ExecutionResult:
        """Return what a caller is told about this execution; ``waits`` are its open ones."""
        halt = None
        if self.halt_data is not None:
            prompt = waits[0].prompt if waits else None
            kind = waits[0].kind if waits else WaitKind.HALT
            halt = HaltResult(
                data=self.halt_data, resume_step=self.recover_to, prompt=prompt, kind=kind
            )
        return ExecutionResult(
            status=self.status,
            execution_id=self.id,
            output=self.result,
            halt=halt,
            error=self.error,
            waits=tuple(waits),
            exception=exception,
        )


def revision_of(fence: int, status: str) -> str:
    """
    Return what tells an execution as it was shown from one that has moved on.

    An answer and a retry make it pending, and leave the fence as it is; under one fence it never
    comes back to a status that it has left. What a driver does meanwhile is not told apart.
    """
    return f"{fence}-{status}"


class EntryAction(StrEnum):
    """What an entry says happened."""

    COMPLETED = "completed"
    HALTED = "halted"
    FAILED = "failed"
    RETRIED = "retried"  # failed, and will be attempted again
    RESUMED = "resumed"
    SKIPPED = "skipped"
    COMPENSATED = "compensated"
    CANCELLED = "cancelled"
    FORKED = "forked"
    TIMED_OUT = "timed_out"
    ABANDONED = "abandoned"  # its driver fell silent; another goes on
    REMINDED = "reminded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry(Record):
    """One line of an execution's history."""

    execution_id: str
    step_id: str  # a path: ``each_item[3]/charge``
    step_type: str = ""
    action: EntryAction = as_value(EntryAction)
    attempt: int = 1
    duration_ms: int | None = None
    input: Any = None
    output: Any = None
    sets: Mapping[str, Any] | None = None  # ctx variables that it set besides its output
    error: str | None = None
    traceback: str | None = None  # without local variables
    by: str | None = None
    timestamp: datetime = field(default_factory=clock.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Record):
    """One line of the live stream, such as ``step.completed``."""

    name: str
    execution_id: str
    workflow_id: str
    step: str | None = None
    attempt: int | None = None  # at that step
    data: Mapping[str, Any] = field(default_factory=dict)
    timestamp: datetime = field(default_factory=clock.now)

    def to_sse(self) -> str:
        """Return the event as a block of a ``text/event-stream`` (WHATWG HTML, section 9.2)."""
        return f"event: {self.name}\ndata: {json.dumps(self.to_dict())}\n\n"
