"""The contract that every store keeps; tests/stores/contract holds each of them to it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from django_workflows.core.chores import Chore
from django_workflows.core.decisions import (
    Change,
    Decide,
    Due,
    DueReason,
    Noted,
    Permit,
    settle,
    wake_up,
)
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.logs import log_entries
from django_workflows.core.store.driving import DrivesExecutions
from django_workflows.core.store.inbox import KeepsInbox
from django_workflows.core.store.keeping import KeepsExecutions
from django_workflows.core.store.parts import (
    LOST,
    MOST_PURGED,
    ChildrenState,
    Ended,
    Pending,
    Purged,
    without_closed,
)
from django_workflows.core.waits import Answer, Wait, WaitStatus
from django_workflows.exceptions import (
    ExecutionNotFound,
    InvalidTransition,
    NotResumable,
    StaleExecution,
    StoreUnavailable,
)

__all__ = [
    "LOST",
    "MOST_PURGED",
    "ChildrenState",
    "Due",
    "DueReason",
    "Ended",
    "Pending",
    "Purged",
    "Store",
    "without_closed",
]

logger = logging.getLogger("django_workflows")


class Store(KeepsExecutions, DrivesExecutions, KeepsInbox):
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

    def transition_all(self, execution_ids: Sequence[str], decide: Decide) -> list[Execution]:
        """
        Decide on many, see transition(); return those that were changed, in the order given.

        Passed over are those that are gone, and those where ``decide`` raises InvalidTransition.
        What else is raised for one keeps none of the others, and is raised after them.
        """
        changed, problem = [], None
        for execution_id in execution_ids:
            try:
                changed.append(self.transition(execution_id, decide))
            except (ExecutionNotFound, InvalidTransition):
                continue
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  raised below
                problem = problem or error
        if problem is not None:
            raise problem
        return changed

    def finish_chores(self, chore_ids: Sequence[str]) -> None:
        """Cross off chores, see finish_chore()."""
        for chore_id in chore_ids:
            self.finish_chore(chore_id)

    def with_children(self, execution_ids: Sequence[str]) -> set[str]:
        """Return those of these executions that have children, ended ones or others."""
        return {one for one in execution_ids if self.execution_ids(parent=one, limit=1)}

    def wake_due(self, now: datetime, limit: int = 100) -> list[Execution]:
        """
        Decide on what is due; return the executions that are pending by it.

        See due() and decisions.wake_up(). Of several callers at once one decides each. What cannot
        be read is logged, and keeps nobody else waiting.
        """
        woken = []
        for due in self.due(now, limit):
            noted = Noted(wake_up(due, now))
            try:
                execution = self.transition(due.execution_id, noted)
            except (ExecutionNotFound, NotResumable):
                continue  # another hand was quicker
            except StoreUnavailable:
                raise
            except Exception:
                logger.exception(
                    "Execution %s could not be woken",
                    due.execution_id,
                    extra={"execution_id": due.execution_id},
                )
                continue
            log_entries(execution, noted.entries)
            if execution.status == ExecutionStatus.PENDING:
                woken.append(execution)
        return woken

    def suspend(
        self,
        execution: Execution,
        entries: Sequence[Entry],
        fence: int,
        waits: Sequence[Wait] = (),
        *,
        chores: Sequence[Chore] = (),
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
                return Change(execution=execution, entries=entries, waits=written, chores=chores)
            running = replace(
                execution,
                status=ExecutionStatus.RUNNING,
                recover_to=None,
                halt_data=None,
                lease_owner=stored.lease_owner,
                lease_expires_at=stored.lease_expires_at,
            )
            return Change(execution=running, entries=entries, waits=written, chores=chores)

        return self.transition(execution.id, decide)

    # Transactions and threads -------------------------------------------------------------------

    def group_commit(self, busy: Callable[[], int]) -> AbstractContextManager[Any]:
        """
        Let threads of this process write their checkpoints in one commit, where the store can.

        Meant for a worker, as long as it works; ``busy`` says how many executions it drives. A
        checkpoint returns no sooner than it is committed, with or without it.
        """
        return nullcontext()

    def atomic(self) -> AbstractContextManager[Any]:
        """Open a transaction that checkpoints of this thread join; see ``supports_atomic``."""
        return nullcontext()

    def lost_by(self, error: BaseException) -> bool:
        """
        Say whether ``error``, which a step has raised, tells that the store went away under it.

        Asked in the step's own thread. Then the step has not failed: it is done again.
        """
        return isinstance(error, StoreUnavailable)

    def refresh(self) -> None:
        """Make sure that what was idle in this thread is still connected; nothing by default."""

    def refuse_open_transaction(self) -> None:
        """Raise ConfigurationError inside somebody's open transaction: no checkpoint would last."""

    def on_commit(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` once what this thread has written is committed: here, now."""
        callback()
