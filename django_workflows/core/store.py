"""The contract that every store keeps; tests/stores/contract.py holds each of them to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from django_workflows.core.decisions import Change, Decide, Permit, settle
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.waits import Answer, InboxEvent, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import StaleExecution


class DueReason(StrEnum):
    """Why the supervisor looks at an execution."""

    PENDING = "pending"  # committed, and nobody drives it
    EXPIRED = "expired"  # its driver's lease ran out
    WAIT = "wait"  # a wait's time has come
    DEADLINE = "deadline"  # halted past its deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One thing that nobody is doing."""

    reason: DueReason
    execution_id: str
    wait_id: str | None = None


class Store(ABC):
    """
    Keeps executions, their entries, waits and events.

    Every method raises StoreUnavailable where the store does not answer, with nothing
    half-written. What a store cannot do is a class attribute, and asking for it is refused early.
    """

    #: Can a step's own writes and its checkpoint be one transaction?
    supports_atomic: ClassVar[bool] = False
    #: May two threads of one process write at once? Where not, ``atomic`` steps take turns.
    concurrent_writers: bool = True

    def __init__(self, **options: Any) -> None:
        self.options = options

    # Executions ---------------------------------------------------------------------------------

    @abstractmethod
    def create(self, execution: Execution, entries: Sequence[Entry] = ()) -> Execution:
        """
        Write a new execution with its first entries and return it.

        Where one with the same id, or with the same idempotency key and workflow, is there
        already, write nothing and return that one. Safe against two callers at once.
        """

    @abstractmethod
    def save(self, execution: Execution) -> Execution:
        """Write ``execution`` whatever is stored, and return it. For tools, not the engine."""

    @abstractmethod
    def load(self, execution_id: str) -> Execution:
        """Return the execution. Raise ExecutionNotFound, also on an id of no known form."""

    @abstractmethod
    def find(
        self,
        workflow_id: str | None = None,
        status: ExecutionStatus | str | None = None,
        limit: int = 100,
        *,
        parent: str | None = None,
        subject: str | None = None,
    ) -> list[Execution]:
        """Return at most ``limit`` executions that match all of what is given, newest first."""

    @abstractmethod
    def execution_ids(
        self,
        workflow_id: str | None = None,
        status: ExecutionStatus | str | None = None,
        limit: int = 1000,
    ) -> list[str]:
        """Return ids only, see find()."""

    @abstractmethod
    def delete(self, execution_id: str) -> bool:
        """Delete the execution with its entries, waits and children; say whether it was there."""

    # History ------------------------------------------------------------------------------------

    @abstractmethod
    def record(self, entry: Entry) -> None:
        """Write one entry beside any checkpoint. Raise ExecutionNotFound."""

    @abstractmethod
    def entries(self, execution_id: str) -> list[Entry]:
        """Return the history in the order in which it was written; empty for an unknown id."""

    # What the engine needs ----------------------------------------------------------------------

    @abstractmethod
    def claim(self, execution_id: str, owner: str, lease: timedelta) -> Execution | None:
        """
        Take the lease and return the execution as claimed: running, fence and claims grown by one.

        Return None where it may not be driven: it is neither pending nor running with an expired
        lease. Of two callers at once one gets it. Raise ExecutionNotFound.
        """

    @abstractmethod
    def renew(self, execution_id: str, fence: int, lease: timedelta) -> bool:
        """Prolong the lease; say False where it is not running, or under another fence."""

    @abstractmethod
    def checkpoint(
        self,
        execution: Execution,
        entries: Sequence[Entry],
        fence: int,
        waits: Sequence[Wait] = (),
        *,
        previous: Execution | None = None,
    ) -> None:
        """
        Write the execution as it now stands, its entries and its waits, as one.

        Of ``waits``, open ones are new; of the others only the status is written. ``previous`` is
        what the caller knows to be stored, so that a store may write the difference only. Joins
        the transaction of atomic(). Raise StaleExecution, with nothing written, where the stored
        fence is not ``fence``.
        """

    @abstractmethod
    def transition(self, execution_id: str, decide: Decide) -> Execution:
        """
        Lock the execution, write what ``decide(execution, waits)`` makes of it, and return it.

        ``waits`` are all of the execution's, oldest first. What ``decide`` raises is passed on,
        with nothing written. Raise ExecutionNotFound.
        """

    @abstractmethod
    def waits(self, execution_id: str, *, status: WaitStatus | None = None) -> list[Wait]:
        """Return the waits of an execution, oldest first."""

    @abstractmethod
    def find_waits(
        self, *, kind: WaitKind | None = None, key: str | None = None, limit: int = 100
    ) -> list[Wait]:
        """Return open waits of all executions, oldest first."""

    @abstractmethod
    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        """
        Return what nobody drives: at most ``limit`` for each reason, longest due first.

        That is: pending; running with a lease that ended before ``now``; open waits with a
        ``wake_at`` up to ``now``; halted with a ``deadline_at`` up to ``now``.
        """

    # Events and versions ------------------------------------------------------------------------

    @abstractmethod
    def add_event(self, event: InboxEvent) -> None:
        """Keep an event until a wait takes it."""

    @abstractmethod
    def reserve_event(self, wait: Wait) -> InboxEvent | None:
        """
        Give the oldest untaken event that ``wait.key`` asks for to ``wait``, and return it.

        Return the same event when called again for the same wait, None where there is none. No
        event is given to two waits.
        """

    @abstractmethod
    def remember_graph(self, workflow_id: str, version: str, graph: Mapping[str, Any]) -> None:
        """Keep the graph of a version, so that old executions are drawn as they ran."""

    @abstractmethod
    def graph(self, workflow_id: str, version: str) -> dict[str, Any] | None:
        """Return what remember_graph() kept, or None."""

    # Built on the above -------------------------------------------------------------------------

    def settle(
        self,
        execution_id: str,
        step: str | None,
        answer: Answer,
        *,
        permit: Permit | None = None,
    ) -> Execution:
        """
        Give ``answer`` to the open wait named by ``step``, a path or a wait's id.

        A halted execution becomes pending. ``permit`` is asked under the lock. Raise
        AlreadyResumed, NotResumable, or what ``permit`` raises; see decisions.choose_wait().
        """
        return self.transition(execution_id, settle(step, answer, permit))

    def suspend(
        self, execution: Execution, entries: Sequence[Entry], fence: int, waits: Sequence[Wait] = ()
    ) -> Execution:
        """
        Write the checkpoint that halts ``execution``, and return it as written.

        Where an answer came meanwhile to a wait opened earlier, it is written as running still.
        Raise StaleExecution, see checkpoint().
        """

        def decide(stored: Execution, known: Sequence[Wait]) -> Change:
            if stored.fence != fence:
                raise StaleExecution(execution.id, fence)
            closing = {wait.id for wait in waits if wait.status != WaitStatus.OPEN}
            answered = [
                wait
                for wait in known
                if wait.status == WaitStatus.SETTLED and wait.id not in closing
            ]
            # Of a wait that is closed here, the caller's copy may lack an answer given meanwhile.
            stored_waits = {wait.id: wait for wait in known}
            written = [
                replace(stored_waits[wait.id], status=wait.status)
                if wait.id in stored_waits
                else wait
                for wait in waits
            ]
            if not answered:
                return Change(execution=execution, entries=entries, waits=written)
            running = replace(
                execution,
                status=ExecutionStatus.RUNNING,
                recover_to=None,
                halt_data=None,
                lease_owner=stored.lease_owner,
                lease_expires_at=stored.lease_expires_at,
            )
            return Change(execution=running, entries=entries, waits=written)

        return self.transition(execution.id, decide)

    # Transactions and threads -------------------------------------------------------------------

    def atomic(self) -> AbstractContextManager[Any]:
        """Open a transaction that checkpoints of this thread join; see ``supports_atomic``."""
        return nullcontext()

    def refuse_open_transaction(self) -> None:  # noqa: B027  most stores have nothing to refuse
        """Raise ConfigurationError inside somebody's open transaction: no checkpoint would last."""

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once what this thread has written is committed: here, now."""
        callback()


def without_closed(waits: Iterable[Wait]) -> list[Wait]:
    """Return the waits that were not opened and closed again between two checkpoints."""
    latest: dict[str, Wait] = {}
    opened: set[str] = set()
    for wait in waits:
        if wait.status == WaitStatus.OPEN:
            opened.add(wait.id)
        latest[wait.id] = wait
    return [
        wait for wait in latest.values() if wait.status == WaitStatus.OPEN or wait.id not in opened
    ]
