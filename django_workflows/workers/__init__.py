"""A worker: one process that drives what is pending, and supervises."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from threading import Event, Thread
from typing import Any

from django.db import connections

from django_workflows import wiring
from django_workflows.conf import settings
from django_workflows.core import clock
from django_workflows.core.execution import Execution
from django_workflows.core.presence import Presence, new_owner
from django_workflows.core.workflow import registry
from django_workflows.exceptions import (
    ConfigurationError,
    StoreUnavailable,
    WorkflowError,
    describe,
)
from django_workflows.performing import lost, perform_claimed, under_way
from django_workflows.runners.threads import fresh_connections
from django_workflows.supervisor import Supervisor

logger = logging.getLogger("django_workflows")

#: What was announced and not renewed for so long is a process that died.
FORGOTTEN_AFTER = timedelta(days=1)


class Attendance:
    """Says in the store that this process is at work, and supervises; see Presence."""

    def __init__(self, stopping: Event, **facts: object) -> None:
        adapter = wiring.adapter()
        kind = type(adapter)
        named = {"adapter": f"{kind.__module__}.{kind.__qualname__}", **facts}
        self.presence = Presence(**named)  # type: ignore[arg-type]
        self.stopping = stopping

    def supervise(self) -> None:
        """Sweep until the process is to stop; what it finds is dispatched."""
        grace = timedelta(seconds=settings.SWEEP_INTERVAL)
        try:
            self._appear()
            Supervisor(grace=grace).run(self.stopping, swept=self._swept)
        finally:
            self._leave()
            connections.close_all()

    def _appear(self) -> None:
        """Announce for the first time; each sweep does so again."""
        try:
            self._announce()
        except ConfigurationError as error:  # such as tables that are yet to be migrated
            logger.error("Could not announce this process: %s", error)  # noqa: TRY400
        except Exception:
            logger.exception("Could not announce this process; the next sweep will try again")

    def _swept(self) -> None:
        fresh_connections()
        lost.give_back()
        self.presence = replace(self.presence, swept_at=clock.now())
        self._announce()

    def _announce(self) -> None:
        store = wiring.store()
        with suppress(StoreUnavailable):  # it is told again after the next sweep
            before = clock.now()
            theirs = store.now()
            now = clock.now()
            skew = ((before + (now - before) / 2) - theirs).total_seconds()
            self.presence = replace(self.presence, seen_at=now, skew=skew)
            store.announce(self.presence)
            for other in store.present():
                if now - other.seen_at > FORGOTTEN_AFTER:
                    store.dismiss(other.id)

    def _leave(self) -> None:
        try:
            wiring.store().dismiss(self.presence.id)
        except WorkflowError as error:
            logger.warning("Could not sign off: %s", error)


class Worker:
    """
    Drives executions for the adapter of the settings until ``stopping``; see Adapter.work().

    ``queues`` are those it listens to, all where there are none; ``threads`` is how many executions
    it drives at once. It supervises from a thread of its own.
    """

    def __init__(
        self,
        queues: Sequence[str] = (),
        threads: int = 1,
        stopping: Event = wiring.stopping,
    ) -> None:
        self.queues = tuple(queues)
        self.threads = threads
        self.stopping = stopping
        self._ended: BaseException | None = None  # what the supervisor died of

    @cached_property
    def owner(self) -> str:
        """Return whom the leases are to name; first asked in the process that drives."""
        return new_owner()

    def run(self) -> None:
        """
        Work until ``stopping``.

        Raise ConfigurationError where the adapter has no worker, and WorkflowError where the
        supervisor has ended unasked.
        """
        attendance = Attendance(
            self.stopping, drives=True, queues=self.queues, threads=self.threads
        )
        supervisor = Thread(
            target=self._supervise, args=(attendance,), name="workflow-supervisor", daemon=True
        )
        supervisor.start()
        try:
            with self._writing():
                wiring.adapter().work(self)
        finally:
            self.stopping.set()
            supervisor.join()
        if self._ended is not None:
            raise WorkflowError(
                f"The supervisor of this worker ended: {describe(self._ended)}."
            ) from self._ended

    def _supervise(self, attendance: Attendance) -> None:
        try:
            attendance.supervise()
        except BaseException as error:
            logger.exception("The supervisor of this worker ended, and so does the worker")
            self._ended = error
            self.stopping.set()

    def _writing(self) -> AbstractContextManager[Any]:
        if self.threads == 1:
            return nullcontext()
        return wiring.store().group_commit(under_way.count)

    def claim(self, limit: int) -> list[Execution]:
        """See Hands.claim()."""
        lease = timedelta(seconds=settings.LEASE)
        return wiring.store().claim_pending(
            self.owner, lease, limit, workflow_ids=registry.ids(), queues=self._asked()
        )

    def drive(self, execution: Execution) -> None:
        """See Hands.drive()."""
        perform_claimed(execution)

    def _asked(self) -> list[str | None] | None:
        if not self.queues:
            return None
        # What names no queue is on the adapter's own.
        unnamed = [None] if wiring.adapter().queue in self.queues else []
        return [*self.queues, *unnamed]
