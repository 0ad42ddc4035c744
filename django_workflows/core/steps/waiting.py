"""Steps that stop an execution until something comes: an answer, a time, an event."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, Unpack

from django_workflows.core import clock, schemas
from django_workflows.core.execution import ContinueResult, HaltResult, State, StepOutcome
from django_workflows.core.expressions import Reference, references, resolve
from django_workflows.core.steps.base import Run, Step, StepOptions, duration
from django_workflows.core.waits import Cause, WaitKind
from django_workflows.exceptions import StepError, WaitTimeout

if TYPE_CHECKING:
    from django_workflows.core.document.steps import StepReader


#: What a store can keep of an event's name and key, joined by a colon.
LONGEST_TOPIC = 400


class Halt(Step):
    """
    Stop with ``reason`` and ``data`` until resumed; the response is the step's output.

    An answer that breaks ``response_schema``, a JSON Schema, is refused with a ResponseError.
    """

    type = "halt"
    waits = True

    def __init__(
        self,
        reason: str = "Halted",
        *,
        data: Mapping[str, Any] | None = None,
        resume_step: str | None = None,
        response_schema: Mapping[str, Any] | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        super().__init__(**options)
        self.reason = reason
        self.data = data or {}
        self.resume_step = resume_step
        self.response_schema = response_schema

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """See Step.from_document(). The response is ``$response`` afterwards."""
        return cls(
            reader.text("reason", "Halted"),
            data=reader.mapping("data"),
            resume_step=reader.key("resume_step"),
            response_schema=reader.mapping("response_schema") or None,
            **reader.options(output="response"),
        )

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Halt, or go on at ``resume_step`` with the response."""
        if run.answer is not None:
            return self.proceed(state, run.answer.response, to=self.resume_step)
        reason = resolve(self.reason, state)
        told = {"reason": reason, **resolve(self.data, state)}
        data = schemas.asking(told, self.response_schema)
        return self.stop(state, HaltResult(data=data, prompt=str(reason)))

    def targets(self) -> Iterator[str]:
        """See Step.targets()."""
        if self.resume_step is not None:
            yield self.resume_step

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references([self.reason, self.data])

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        return schemas.problems("response_schema", self.response_schema)


class Sleep(Step):
    """Go on after ``delay``: seconds, a timedelta, or a reference to one. Holds no worker."""

    type = "sleep"
    has_output = False
    waits = True

    def __init__(self, delay: Any, **options: Unpack[StepOptions]) -> None:
        super().__init__(**options)
        self.delay = delay

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Raise StepError where the delay is no duration."""
        if run.answer is not None:
            return self.proceed(state)
        delay: object = duration(resolve(self.delay, state))
        if isinstance(delay, bool) or not isinstance(delay, (int, float)) or delay < 0:
            raise StepError(f"Step {self.name!r} cannot sleep for {delay!r}: give seconds.")
        if not delay <= clock.LONGEST.total_seconds():  # NaN is not, either
            raise StepError(
                f"Step {self.name!r} cannot sleep for {delay!r} seconds: give 100 years at most."
            )
        return self.stop(state, _timer(run.now + timedelta(seconds=delay)))

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references(self.delay)


class SleepUntil(Step):
    """Go on at ``moment``: an aware datetime, or a reference to one. Holds no worker."""

    type = "sleep_until"
    has_output = False
    waits = True

    def __init__(self, moment: Any, **options: Unpack[StepOptions]) -> None:
        super().__init__(**options)
        self.moment = moment

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Raise StepError where the moment is no aware datetime."""
        if run.answer is not None:
            return self.proceed(state)
        moment = resolve(self.moment, state)
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise StepError(
                f"Step {self.name!r} cannot sleep until {moment!r}: give an aware datetime."
            )
        try:
            until = moment.astimezone(UTC)
        except OverflowError as error:  # the last day of all, in a zone west of Greenwich
            raise StepError(
                f"Step {self.name!r} cannot sleep until {moment}: in UTC that is no date."
            ) from error
        return self.stop(state, _timer(until))

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references(self.moment)


class WaitForEvent(Step):
    """
    Stop until ``send_event(event, key, data)``; the data is the output.

    An event that was sent before is taken at once. ``timeout`` goes to ``on_timeout``, or raises
    WaitTimeout.
    """

    type = "wait_for_event"
    waits = True

    def __init__(
        self,
        event: str,
        *,
        key: Any = "",
        timeout: float | timedelta | None = None,
        on_timeout: str | None = None,
        **options: Unpack[StepOptions],
    ) -> None:
        super().__init__(**options)
        self.event = event
        self.key = key
        self.wait_for = duration(timeout)
        self.on_timeout = on_timeout

    def execute(self, state: State, run: Run) -> StepOutcome:
        """Wait, or go on with the event's data."""
        if run.answer is None:
            key = resolve(self.key, state)
            topic = f"{self.event}:{'' if key is None else key}"
            if len(topic) > LONGEST_TOPIC:
                raise StepError(
                    f"Step {self.name!r} waits for a key of {len(str(key))} characters; event and"
                    f" key may have {LONGEST_TOPIC} together."
                )
            halt = HaltResult(
                data={"event": self.event, "key": key},
                kind=WaitKind.EVENT,
                key=topic,
                wake_at=after(run.now, self.wait_for),
            )
            return self.stop(state, halt)
        if run.answer.cause == Cause.TIMEOUT:
            return expired(self, state, self.on_timeout, self.wait_for)
        return self.proceed(state, run.answer.response)

    def targets(self) -> Iterator[str]:
        """See Step.targets()."""
        if self.on_timeout is not None:
            yield self.on_timeout

    def references(self) -> Iterator[Reference]:
        """See Step.references()."""
        return references(self.key)

    def problems(self) -> Iterator[str]:
        """See Step.problems()."""
        if ":" in self.event or not self.event:
            yield f"event {self.event!r} must be a name without a colon"
        if self.on_timeout is not None and self.wait_for is None:
            yield "has on_timeout but no timeout"


def expired(step: Step, state: State, target: str | None, seconds: float | None) -> StepOutcome:
    """Return the outcome of a wait out of time; raise WaitTimeout if nothing handles it."""
    if target is None:
        raise WaitTimeout(f"Step {step.name!r} waited longer than {seconds:g} s.")
    result = ContinueResult(next_step=target, has_output=False)
    return StepOutcome(state=state, result=result)


def after(now: datetime, delay: float | None) -> datetime | None:
    """Return the moment ``delay`` seconds after ``now``, or None without a delay."""
    return None if delay is None else now + timedelta(seconds=delay)


def _timer(moment: datetime) -> HaltResult:
    return HaltResult(data={"until": moment}, kind=WaitKind.TIMER, wake_at=moment)
