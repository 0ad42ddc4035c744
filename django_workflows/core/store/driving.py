"""The part of the contract by which executions are driven, halted and woken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django_workflows.core.chores import Chore
from django_workflows.core.decisions import Decide, Due
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.store.parts import Pending
from django_workflows.core.waits import Wait, WaitKind, WaitStatus


class DrivesExecutions(ABC):
    """See Store."""

    @abstractmethod
    def claim(self, execution_id: str, owner: str, lease: timedelta) -> Execution | None:
        """
        Take the lease and return the execution as claimed: running, fence and claims grown by one.

        Return None where it may not be driven: it is neither pending nor running with an expired
        lease. Of two callers at once one gets it. Raise ExecutionNotFound.
        """

    @abstractmethod
    def claim_pending(
        self,
        owner: str,
        lease: timedelta,
        limit: int,
        *,
        workflow_ids: Collection[str],
        queues: Collection[str | None] | None = None,
    ) -> list[Execution]:
        """
        Claim at most ``limit`` pending executions of ``workflow_ids``; see claim().

        Those of the highest priority first, and of these the oldest. ``queues`` are those of which
        to take, None among them for executions that name no queue; left out, all. Callers at once
        get different ones, and none waits for another.
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
        chores: Sequence[Chore] = (),
        previous: Execution | None = None,
    ) -> None:
        """
        Write the execution as it now stands, its entries, waits and chores, as one.

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
        with nothing written. Raise ExecutionNotFound, and EventTaken, with nothing written, where
        the event of the change was given to another wait.
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
    def pending(
        self, before: datetime, limit: int = 500, after: Pending | None = None
    ) -> list[Pending]:
        """
        Return the executions that have been pending since ``before``, by created_at and id.

        Since when is told by ``updated_at``. ``after`` is the last of the page before.
        """

    @abstractmethod
    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        """
        Return what nobody drives: at most ``limit`` for each reason, longest due first.

        That is: running with a lease that ended before ``now``; open waits with a ``wake_at`` or a
        ``remind_at`` up to ``now``; halted with a ``deadline_at`` up to ``now``.
        """
