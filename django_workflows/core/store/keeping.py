"""The part of the contract that is about executions, their history and their children."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.store.parts import MOST_PURGED, ChildrenState, Ended, Purged


class KeepsExecutions(ABC):
    """See Store."""

    # Executions ---------------------------------------------------------------------------------

    @abstractmethod
    def create(self, execution: Execution, entries: Sequence[Entry] = ()) -> Execution:
        """
        Write a new execution with its first entries and return it.

        Where one with the same id, or with the same idempotency key and workflow, is there
        already, write nothing and return that one. Safe against two callers at once.
        """

    @abstractmethod
    def create_children(
        self, parent: str, fence: int, children: Sequence[Execution]
    ) -> list[Execution]:
        """
        Write those of ``children`` that are not there yet; return all of them as they are stored.

        The parent is locked meanwhile, so that none is added to one that is being cancelled. Raise
        StaleExecution, with nothing written, where the parent is gone or has another fence.
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
        *,
        parent: str | None = None,
        parent_step: str | None = None,
        except_steps: Collection[str] = (),
    ) -> list[str]:
        """Return ids only, see find(); none of those whose parent_step is in ``except_steps``."""

    @abstractmethod
    def delete(self, execution_id: str) -> bool:
        """
        Delete the execution with its entries, waits and children; say whether it was there.

        A parent that may wait for it is left a chore to MEET.
        """

    # Retention ----------------------------------------------------------------------------------

    @abstractmethod
    def ended(
        self,
        before: datetime,
        limit: int = 100,
        *,
        workflow_ids: Collection[str] | None = None,
        statuses: Collection[ExecutionStatus] | None = None,
        after: Ended | None = None,
    ) -> list[Ended]:
        """
        Return at most ``limit`` roots that have ended before ``before``, by finished_at and id.

        A root has no parent, or one that is gone; what is below it may still be under way.
        ``statuses`` are final ones. ``after`` is the last of the page before.
        """

    @abstractmethod
    def purge(self, roots: Sequence[str], before: datetime, most: int = MOST_PURGED) -> Purged:
        """
        Delete trees of executions: those of the first of ``roots``, all in one transaction.

        As many are dealt with as have up to ``most`` executions together, and at least one. With
        them go their entries and waits, the events that these took, and their chores. A tree is
        left as it is where its root, looked at under its lock, is none that ended before
        ``before``, or where something below it has not ended, or is in somebody's hands.
        """

    # History ------------------------------------------------------------------------------------

    @abstractmethod
    def record(self, entry: Entry) -> None:
        """Write one entry beside any checkpoint. Raise ExecutionNotFound."""

    @abstractmethod
    def entries(self, execution_id: str) -> list[Entry]:
        """Return the history in the order in which it was written; empty for an unknown id."""

    # Children -----------------------------------------------------------------------------------

    @abstractmethod
    def children_state(self, parent: str, step: str) -> ChildrenState:
        """Return what has become of the children of ``parent`` whose parent_step is ``step``."""

    @abstractmethod
    def tally(self, parent: str, step: str) -> Mapping[ExecutionStatus, int]:
        """Return how many of these children there are of each status; see children_state()."""

    @abstractmethod
    def children(self, parent: str, step: str) -> list[Execution]:
        """
        Return these children by ``item``; see children_state().

        Of each only id, workflow_id, status, item, result, error, ctx and parent are promised.
        """

    @abstractmethod
    def supersede(self, parent: str, step: str) -> None:
        """Forget the parent_step of those of these children that failed or were cancelled."""

    @abstractmethod
    def release_held(self, parent: str, step: str, most: int) -> list[Execution]:
        """
        Make held children pending, by ``item``, until ``most`` are under way; return these.

        Held is a halted one that was never claimed (its fence is 0) and has no open wait; under
        way is every other that has not ended. Of callers at once each sees what the others did.
        """
