"""What every step kind is: configuration and behaviour in one object."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypedDict, Unpack

from django_workflows.core.execution import (
    ContinueResult,
    ExecutionResult,
    HaltResult,
    State,
    StepOutcome,
)
from django_workflows.core.expressions import Reference
from django_workflows.core.frames import Cursor, Frame
from django_workflows.core.registry import Registry
from django_workflows.core.retry import ONCE, Retry
from django_workflows.core.steps.groups import Children
from django_workflows.core.waits import Answer
from django_workflows.exceptions import ConfigurationError

if TYPE_CHECKING:
    from django_workflows.core.definition import Graph
    from django_workflows.core.document.steps import StepReader

#: Stands for "the step's own name", where None means "store nothing".
OWN_NAME = "\x00own name"

step_types: Registry[type[Step]] = Registry(
    "step type",
    lambda name, known: ConfigurationError(
        f"No step type {name!r} is known. Known are: {', '.join(known)}."
    ),
)


class StepOptions(TypedDict, total=False):
    """Options that every kind takes."""

    name: str | None  # set by the class body; needed only for steps written inside a list
    next: str | None
    on_error: str | None
    output: str | None  # the ctx key; None stores nothing
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeEnd:
    """How the walk over a scope ended."""

    state: State
    cursor: Cursor
    stopped: bool = False  # the parallel around it had enough before it came to its end


class Scope(Protocol):
    """One place in the tree of positions, as a nested step uses it."""

    def walk(self, graph: Graph, cursor: Cursor, state: State) -> ScopeEnd | HaltResult:
        """Run the steps of ``graph`` from ``cursor`` on until they end or halt."""


class Run(Protocol):
    """What the engine offers a step while it executes."""

    answer: Answer | None  # the answer to this step's own wait, once there is one
    resume_step: str | None  # where the halt that was answered asked to go on

    @property
    def asked(self) -> Mapping[str, Any]:
        """Return the data of the halt that was answered; empty where there was none."""

    @property
    def now(self) -> datetime:
        """Return the time, aware and in UTC."""

    @property
    def frame(self) -> Frame | None:
        """Return what this step kept at the last checkpoint."""

    def note(self, given: Any) -> None:
        """Let the history show ``given`` as this step's input. Raise OutputError, see kept()."""

    def scope(
        self,
        prefix: str,
        place: Callable[[Cursor, State], Frame],
        *,
        names: Mapping[str, Any] | None = None,
        isolated: bool = False,
        stopped: Callable[[], bool] | None = None,
    ) -> Scope:
        """
        Return the scope of a nested step.

        ``prefix`` is its part of the path. ``place`` makes this step's frame from where the scope
        stands. ``names`` are variables that a compensation of a nested step will want. What an
        ``isolated`` scope sets in ctx is in its frame only. It ends early once ``stopped()``.
        """

    def keep(self, frame: Frame | Callable[[], Frame], state: State | None = None) -> None:
        """
        Remember ``frame`` for this step; it is written with the next checkpoint.

        A callable is asked for it under the lock that guards the positions of all branches.
        """

    def together(
        self, tasks: Mapping[str, Callable[[], object]], enough: Callable[[], bool]
    ) -> None:
        """
        Run ``tasks`` at once, or in turn where threads are not wanted, until ``enough()``.

        What a task raises is passed on once all have come to rest.
        """

    def withdraw(self, prefix: str) -> None:
        """Close the open waits of the steps nested in this one, below ``prefix``."""

    def child(
        self, workflow_id: str, given: Mapping[str, Any], timeout: float | None
    ) -> ExecutionResult | str:
        """Drive this step's child execution; return its result, or its id while it has none."""

    @property
    def children(self) -> Children:
        """Return this step's group of children."""


class Step(ABC):
    """
    A named node of a workflow.

    A subclass sets ``type``, which also makes it known to YAML, and says in ``execute`` what it
    does. Instances are never changed once compiled.
    """

    #: The name of the kind.
    type: ClassVar[str] = ""
    #: Does it touch nothing outside ctx? Its entry then rides with the next checkpoint.
    pure: ClassVar[bool] = False
    #: Does it hold steps of its own, whose waits are not its waits?
    nested: bool = False
    #: Does it start a group of child executions, one for each item or branch?
    fans_out: bool = False
    #: Does it merge what the steps nested in it have set, once they are done?
    merges: ClassVar[bool] = False
    #: Does it have an output that lands in ctx?
    has_output: ClassVar[bool] = True
    #: Does the flow stop here, so that the following step is not its next?
    terminal: ClassVar[bool] = False
    #: Does it always go to one of its targets(), so that ``next`` is never asked?
    chooses: ClassVar[bool] = False
    #: Does it stop for what has yet to come: a person, a time, an event, a child?
    waits: bool = False
    #: May the steps nested in it go to "break" and "continue"?
    breakable: ClassVar[bool] = False

    def __init__(self, **options: Unpack[StepOptions]) -> None:
        unknown = sorted(options.keys() - StepOptions.__optional_keys__)
        if unknown:
            raise TypeError(f"{type(self).__name__} has no option {', '.join(unknown)}")
        self.name: str = options.get("name") or ""
        self.next = options.get("next")
        self.on_error = options.get("on_error")
        self.output = options.get("output", OWN_NAME)
        self.description = options.get("description", "")
        self.retry: Retry = ONCE
        self.timeout: float | None = None
        self.atomic = False
        self.compensate: str | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "type" in cls.__dict__ and cls.type:
            step_types.add(cls.type, cls, same=_same_class)

    def __set_name__(self, owner: object, name: str) -> None:
        if not self.name:
            self.name = name

    @classmethod
    def from_document(cls, reader: StepReader) -> Self:
        """
        Return the step that ``reader`` stands at.

        A kind with keys of its own kind reads them by the reader's getters; here, every key is a
        keyword argument. A TypeError or ValueError is a problem of the document.
        """
        options = reader.options(output=reader.key("output") or OWN_NAME)
        return cls(**options, **reader.rest())

    @property
    def output_key(self) -> str | None:
        """Return the ctx key of the output, or None where it is not stored."""
        if not self.has_output:
            return None
        return self.name if self.output == OWN_NAME else self.output

    @abstractmethod
    def execute(self, state: State, run: Run) -> StepOutcome:
        """Do the work and decide how to go on. What it raises is the step's failure."""

    def abandoned(self, state: State, frame: Frame | None) -> State:
        """Return the state for its on_error: what nested steps left, without their own names."""
        return state

    def compiled(self, name: str, *, follow: bool = True) -> Self:
        """Return a copy under its final name, its nested steps compiled as well."""
        step = copy.copy(self)
        step.name = name
        if not (self.name or self.suggested_name()) and self.output == OWN_NAME:
            # Named after its place alone, it would clash with its like in another branch.
            step.output = None
        return step

    def bound(self, workflow: object) -> Self:
        """Return a copy whose methods are bound to ``workflow``, an instance of its class."""
        return self

    def suggested_name(self) -> str:
        """Return a name for a step that was given none, or nothing."""
        return ""

    def targets(self) -> Iterator[str]:
        """Yield the steps it may go to, besides ``next`` and ``on_error``."""
        yield from ()

    def references(self) -> Iterator[Reference]:
        """Yield what it reads from the execution's data."""
        yield from ()

    def sets(self) -> Iterator[str]:
        """Yield the ctx keys that it may set."""
        if self.output_key is not None:
            yield self.output_key

    def workflows(self) -> Iterator[str]:
        """Yield the ids of the workflows that it runs as children."""
        yield from ()

    def scopes(self) -> Mapping[str, Graph]:
        """Return the graphs nested in it, by the name of the scope."""
        return {}

    def parts(self) -> Mapping[str, Graph]:
        """Return those of its scopes() that child executions of their own run."""
        return {}

    def scope_sets(self) -> Iterator[str]:
        """Yield the ctx keys that only the steps nested in it can read."""
        yield from ()

    def children(self) -> Iterator[Step]:
        """Yield the steps nested in it, as written."""
        yield from ()

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with its options, as sentences."""
        yield from ()

    def proceed(
        self, state: State, output: Any = None, *, to: str | None = None, has_output: bool = True
    ) -> StepOutcome:
        """Return the outcome that goes on at ``to``, or at the step's next, with ``output``."""
        has_output = has_output and self.has_output
        result = ContinueResult(next_step=to, output=output, has_output=has_output)
        return StepOutcome(state=state, result=result)

    def stop(self, state: State, halt: HaltResult) -> StepOutcome:
        """Return the outcome that halts here."""
        return StepOutcome(state=state, result=halt)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def _same_class(old: type[Step], new: type[Step]) -> bool:
    return (old.__module__, old.__qualname__) == (new.__module__, new.__qualname__)


def duration(value: float | timedelta | None) -> float | None:
    """Return a duration in seconds, or None."""
    return value.total_seconds() if isinstance(value, timedelta) else value
