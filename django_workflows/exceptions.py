"""
What can go wrong, as one tree.

    WorkflowError
    ├── ConfigurationError        a setting, backend or capability that is not there
    ├── DefinitionError           a workflow that cannot be compiled
    ├── UnknownWorkflow           a workflow id that nobody registered
    ├── InputError                input that does not fit the workflow's Input
    ├── PayloadError              a value that cannot be kept, with its key path
    ├── StoreUnavailable          the store does not answer
    ├── ExecutionNotFound         an id that the store does not know
    ├── ExecutionFailed           raised by ExecutionResult.raise_for_status()
    ├── NotResumable              nothing is open that could be answered
    │   └── AlreadyResumed        somebody else answered first
    ├── NotAllowed                this person may not do this
    ├── StaleExecution            a late writer met a newer fence
    ├── EventTaken                an event was given to another wait meanwhile
    ├── InvalidTransition         a verb that the execution's status does not allow
    └── StepError                 a step that failed by the engine's rules
        ├── StepTimeout           it took longer than its timeout
        ├── WorkflowTimeout       the execution passed its deadline
        ├── Rejected              an approval was rejected and has no on_reject
        ├── WaitTimeout           a wait ran out of time and has no on_timeout
        ├── NoRouteMatched        a router without a matching route and default
        ├── ConditionError        a condition that cannot be evaluated
        ├── OutputError           an output that cannot be kept or breaks its schema
        ├── LoopExhausted         a loop that reached its bound
        ├── ParallelError         branches that failed, with every error
        ├── MergeConflict         two branches that set one key
        ├── ChildFailed           a child execution that failed or was cancelled
        └── ItemsFailed           items of a fan-out whose children failed or were cancelled
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime


class WorkflowError(Exception):
    """
    The base of every error of this package. Not raised directly.

    Each can be pickled and copied with its attributes, whatever its constructor takes: results of
    queues and processes carry errors so.
    """

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), self.args), self.__dict__


def _restored(kind: type[WorkflowError], args: tuple[object, ...]) -> WorkflowError:
    return kind.__new__(kind, *args)


class ConfigurationError(WorkflowError):
    """A setting, a backend or a capability that is asked for is not there."""


class DefinitionError(WorkflowError):
    """
    A workflow cannot be compiled.

    ``problems`` has every problem found, each a sentence, not only the first.
    """

    def __init__(self, workflow: str, problems: Sequence[str]) -> None:
        self.workflow = workflow
        self.problems = list(problems)
        lines = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(f"Workflow {workflow!r} is not valid:{lines}")


class UnknownWorkflow(WorkflowError, LookupError):
    """A workflow id is not registered; the message lists those that are."""

    def __init__(self, workflow_id: str, known: Sequence[str]) -> None:
        self.workflow_id = workflow_id
        self.known = list(known)
        names = ", ".join(self.known) or "none"
        super().__init__(
            f"No workflow {workflow_id!r} is registered. Registered are: {names}. Is its module"
            " imported (an app's workflows.py is found by itself)?"
        )


class InputError(WorkflowError, ValueError):
    """
    The input does not fit the workflow.

    ``errors`` maps each field to what is wrong with it, all at once.
    """

    def __init__(self, workflow_id: str, errors: Mapping[str, str]) -> None:
        self.workflow_id = workflow_id
        self.errors = dict(errors)
        details = "; ".join(f"{field}: {message}" for field, message in self.errors.items())
        super().__init__(f"Input of workflow {workflow_id!r} is not valid: {details}")


class ResponseError(WorkflowError, ValueError):
    """
    An answer breaks the ``response_schema`` of the step that asked; nothing was recorded.

    ``errors`` maps each place, ``lines.0.price``, to what is wrong there; the empty text is the
    answer as a whole.
    """

    def __init__(self, execution_id: str, step: str, errors: Mapping[str, str]) -> None:
        self.execution_id = execution_id
        self.step = step
        self.errors = dict(errors)
        details = "; ".join(
            f"{place}: {message}" if place else message for place, message in self.errors.items()
        )
        super().__init__(
            f"The response to step {step!r} of execution {execution_id} is not what it asks for:"
            f" {details}"
        )


class PayloadError(WorkflowError, ValueError):
    """A value cannot be kept. ``path`` is the key path to it, ``reason`` says why."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}" if path else reason)


class StoreUnavailable(WorkflowError):
    """
    The store does not answer. What was asked may have been written, if its answer was lost.

    Where that ended a drive, ``driven`` is the execution's id and the fence it was driven under.
    """

    def __init__(self, store: str, reason: object) -> None:
        self.store = store
        self.driven: tuple[str, int] | None = None
        super().__init__(
            f"The store {store} does not answer: {reason}."
            " It may have written what it was asked to."
        )


class ExecutionNotFound(WorkflowError, LookupError):
    """The store has no such execution."""

    def __init__(self, execution_id: str) -> None:
        self.execution_id = execution_id
        super().__init__(f"No execution {execution_id!r} in this store.")


class ExecutionFailed(WorkflowError):
    """Raised by ``ExecutionResult.raise_for_status()``, with the original error as cause."""

    def __init__(self, execution_id: str, status: str, error: str | None) -> None:
        self.execution_id = execution_id
        self.status = status
        self.error = error
        super().__init__(f"Execution {execution_id} is {status}: {error or 'no error recorded'}")


class NotResumable(WorkflowError):
    """Nothing is open that could be answered, or more than one thing is and none was named."""

    def __init__(self, execution_id: str, reason: str, *, open_steps: Sequence[str] = ()) -> None:
        self.execution_id = execution_id
        self.open_steps = list(open_steps)
        super().__init__(f"Execution {execution_id} cannot be resumed: {reason}")


class AlreadyResumed(NotResumable):
    """Somebody or something else answered first: ``by`` and ``at`` say who and when."""

    def __init__(
        self,
        execution_id: str,
        step: str,
        by: str | None,
        at: datetime | None,
        *,
        how: str | None = None,
    ) -> None:
        self.step = step
        self.by = by
        self.at = at
        when = f" at {at:%Y-%m-%d %H:%M:%S %Z}" if at else ""
        how = how or f"was answered by {by or 'nobody named'}"
        super().__init__(execution_id, f"step {step!r} {how}{when} already.")


class EventTaken(WorkflowError):
    """The event ``event_id`` was given to another wait meanwhile; there may be a next one."""

    def __init__(self, event_id: str) -> None:
        self.event_id = event_id
        super().__init__(f"Event {event_id} was given to another wait.")


class NotAllowed(WorkflowError, PermissionError):
    """This person may not do this; the message says who may."""


class StaleExecution(WorkflowError):
    """A checkpoint carried an old fence: another driver has claimed the execution since."""

    def __init__(self, execution_id: str, fence: int) -> None:
        self.execution_id = execution_id
        self.fence = fence
        super().__init__(
            f"Execution {execution_id} is driven by somebody else now: the checkpoint with fence"
            f" {fence} was refused and nothing of it was written."
        )


class InvalidTransition(WorkflowError):
    """The execution's status does not allow this verb."""

    def __init__(self, execution_id: str, status: str, verb: str, allowed: str) -> None:
        self.execution_id = execution_id
        self.status = status
        super().__init__(
            f"Execution {execution_id} is {status}; {verb} needs one that is {allowed}."
        )


class StepError(WorkflowError):
    """A step failed by the engine's rules rather than by an exception of its own."""


class StepTimeout(StepError, TimeoutError):
    """A step took longer than its ``timeout``; whatever it returns later is not used."""

    def __init__(self, step: str, seconds: float) -> None:
        self.step = step
        self.seconds = seconds
        super().__init__(f"Step {step!r} took longer than its timeout of {seconds:g} s.")


class WorkflowTimeout(StepError, TimeoutError):
    """The execution passed its deadline."""


class Rejected(StepError):
    """An approval was rejected and names no ``on_reject``."""


class WaitTimeout(StepError, TimeoutError):
    """A wait ran out of time and names no ``on_timeout``."""


class NoRouteMatched(StepError):
    """No route of a router matched; the message shows the values that were compared."""

    def __init__(self, step: str, compared: Sequence[str]) -> None:
        self.step = step
        self.compared = list(compared)
        shown = "; ".join(self.compared) or "it has no routes"
        super().__init__(f"No route of {step!r} matched and it has no default: {shown}.")


class ConditionError(StepError):
    """A condition cannot be evaluated."""


class OutputError(StepError):
    """An output cannot be kept, or does not fit the step's ``output_schema``."""


class LoopExhausted(StepError):
    """A loop reached its bound and names no ``on_exhausted``."""


class ParallelError(StepError):
    """Branches failed. ``errors`` maps each failed branch to its error."""

    def __init__(self, step: str, errors: Mapping[str, str], missing: str = "") -> None:
        self.step = step
        self.errors = dict(errors)
        details = "; ".join(f"{name}: {error}" for name, error in self.errors.items())
        super().__init__(f"Parallel {step!r}{missing} failed in {len(self.errors)}: {details}")


class MergeConflict(StepError):
    """Two branches set one ctx key to different values and no merge rule was given."""


class ChildFailed(StepError):
    """A child execution failed or was cancelled."""


class ItemsFailed(StepError):
    """
    Children of a fan-out failed or were cancelled.

    ``count`` says how many of the ``total``; ``errors`` maps some of them, by the number of the
    item, to their errors.
    """

    def __init__(self, step: str, count: int, total: int, errors: Mapping[int, str]) -> None:
        self.step = step
        self.count = count
        self.total = total
        self.errors = dict(errors)
        shown = [f"[{item}] {error}" for item, error in self.errors.items()]
        if shown and count > len(shown):
            shown.append(f"and {count - len(shown):,} more")
        details = "; ".join(shown) or "their executions were deleted"
        super().__init__(f"{count:,} of {total:,} items of {step!r} failed: {details}")


def describe(error: BaseException) -> str:
    """Return ``error`` as executions keep it: ``ValueError: message``."""
    message = message_of(error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def message_of(error: BaseException) -> str:
    """Return the text of ``error`` as it can be kept."""
    return escaped(str(error))


def escaped(text: str) -> str:
    """Return ``text`` with what a database may refuse, NUL and lone surrogates, as escapes."""
    return text.encode(errors="backslashreplace").decode().replace("\x00", "\\x00")
