"""The contract of an adapter: a bell, never the truth."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from threading import Event
from time import monotonic
from typing import Any, ClassVar, Protocol

from django_workflows.core.definition import WorkflowDefinition
from django_workflows.core.engine import Engine
from django_workflows.core.execution import Execution
from django_workflows.core.presence import Presence
from django_workflows.core.store import Pending, Store
from django_workflows.core.workflow import Workflow, registry
from django_workflows.exceptions import ConfigurationError
from django_workflows.runners.nesting import Nesting
from django_workflows.runners.threads import DjangoThreads

Driven = Engine | WorkflowDefinition | type[Workflow]


def engine_of(driven: Driven, store: Store | None) -> Engine:
    """Return the engine itself, or one for a workflow and a store. Raise ConfigurationError."""
    if isinstance(driven, Engine):
        return driven
    if store is None:
        raise ConfigurationError("A runner takes an engine, or a workflow and a store.")
    definition = driven if isinstance(driven, WorkflowDefinition) else driven.definition
    return Engine(definition, store, threads=DjangoThreads(), lookup=registry.__getitem__)


logger = logging.getLogger("django_workflows")

#: What a bell is rung for: a record of it, or no more than is needed to ring.
Ringable = Execution | Pending

#: Seconds for which a bell that failed is not rung: whoever starts must not wait for each failure.
PAUSE = 2.0

#: A bell that takes longer than this, in seconds, counts as one that failed.
SLOW = 1.0

#: Seconds between two log records of a bell that fails.
LOG_INTERVAL = 60.0


class Hands(Protocol):
    """What a worker offers the adapter that it works for."""

    @property
    def queues(self) -> Sequence[str]:
        """Return the queues to listen to; none are all that the adapter knows of."""

    @property
    def threads(self) -> int:
        """Return how many executions to drive at once."""

    @property
    def stopping(self) -> Event:
        """Return what is set once the worker is to stop, after the current steps."""

    def claim(self, limit: int) -> list[Execution]:
        """Claim at most ``limit`` pending executions of these queues. Raise StoreUnavailable."""

    def drive(self, execution: Execution) -> None:
        """Drive a claimed execution. What goes wrong is logged; nothing is raised."""


class Adapter(ABC):
    """
    Lets somebody know that an execution is pending.

    What rings may be lost, and may ring twice: the claim decides who drives. A job carries the
    execution's id and nothing else. ``drive(execution_id)`` is what a worker must call.
    """

    #: Do its workers look at the store by themselves, so that a bell only makes them quicker?
    polls: ClassVar[bool] = False

    def __init__(self, drive: Callable[[str], object], **options: Any) -> None:
        self.drive = drive
        self.options = options
        self._nesting = Nesting()
        self._quiet_until = 0.0
        self._log_from = 0.0

    @property
    def drives_here(self) -> bool:
        """Say whether dispatch() drives the execution itself, instead of ringing for a worker."""
        return False

    @property
    def queue(self) -> str:
        """Return the queue of executions that name none."""
        return str(self.options.get("queue", "default"))

    def queue_of(self, execution: Ringable) -> str:
        """Return the queue that ``execution`` is on."""
        return execution.queue or self.queue

    @property
    def is_quiet(self) -> bool:
        """Say whether the bell failed a moment ago, and so is not rung for a while."""
        return monotonic() < self._quiet_until

    @abstractmethod
    def dispatch(self, execution: Ringable) -> None:
        """Ring for ``execution``. Called after the transaction that made it pending."""

    def unheard(self, pending: Iterable[Pending]) -> Iterator[Pending]:
        """Yield those for which no bell is ringing, as far as that can be told: here, all."""
        yield from pending

    @property
    def worker_command(self) -> str:
        """Return how its workers are started, for messages."""
        return "`manage.py workflows worker`"

    def listeners(self, present: Iterable[Presence]) -> Collection[str] | None:
        """
        Return the queues that a living worker listens to, "*" for all; None where nobody can tell.

        ``present`` are the processes of ours that are at work.
        """
        workers = [one for one in present if one.drives]
        return {queue for one in workers for queue in (one.queues or ("*",))}

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with its settings, each with its cure. Asks no server."""
        return iter(())

    def outages(self) -> Iterator[tuple[str, str]]:
        """Yield what does not answer to one who asks it now, and how to cure that."""
        return iter(())

    def work(self, hands: Hands) -> None:
        """Drive what is pending until ``hands.stopping``. Raise ConfigurationError if it cannot."""
        raise ConfigurationError(
            f"{type(self).__name__} has no worker that `manage.py workflows worker` could run."
            " Start its own worker, and `manage.py workflows supervise` beside it."
        )

    def ring(self, execution: Ringable) -> bool:
        """
        Dispatch ``execution`` unless the bell failed a moment ago; say whether it rang.

        A bell that is broken is logged, once a minute, and stops nobody: the supervisor finds what
        nobody drives. What drives it here does so within at most DEEPEST others.
        """
        if self.drives_here:
            return self._nesting.call(lambda: self._drive_here(execution))
        if self.is_quiet:
            return False
        began = monotonic()
        try:
            self.dispatch(execution)
        except Exception as error:  # noqa: BLE001  whatever the library of a queue raises
            # One that asks for a queue that there is not says nothing of the others.
            if not isinstance(error, ConfigurationError):
                self._quiet_until = monotonic() + PAUSE
            if began >= self._log_from:
                self._log_from = began + LOG_INTERVAL
                self._log(execution, error)
            return False
        if monotonic() - began > SLOW:
            self._quiet_until = monotonic() + PAUSE
        return True

    def _drive_here(self, execution: Ringable) -> bool:
        try:
            self.dispatch(execution)
        except Exception as error:  # noqa: BLE001  it is no failure of who made it pending
            self._log(execution, error)
            return False
        return True

    def _log(self, execution: Ringable, error: Exception) -> None:
        logger.error(
            "Execution %s of %s could not be dispatched; the next sweep will try again",
            execution.id,
            execution.workflow_id,
            exc_info=error,
            extra={"execution_id": execution.id, "workflow_id": execution.workflow_id},
        )


def ring(store: Store, adapter: Adapter, execution: Ringable) -> bool:
    """
    Ring for ``execution`` once what this thread has written is committed; see Adapter.ring().

    Say whether it rang, or yet will.
    """
    rang: list[bool] = []
    store.on_commit(lambda: rang.append(adapter.ring(execution)))
    return rang != [False]
