"""Look for what nobody drives, and wake it. Any number of supervisors may look at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from time import monotonic

from django_workflows import wiring
from django_workflows.conf import settings
from django_workflows.core import clock
from django_workflows.core.chores import Chore
from django_workflows.core.engine.chores import Chores
from django_workflows.core.execution import Execution
from django_workflows.core.purging import Purge
from django_workflows.core.store import Pending, Store
from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from django_workflows.runners.base import Adapter, Ringable

logger = logging.getLogger("django_workflows")

#: Rows that are read, or decided in one transaction, at once.
BATCH = 200

#: Pending executions that one sweep rings for at most; the next goes on from there.
MOST_RUNG = 10_000

#: Chores that one sweep looks at, about: what is left of them stands before the others.
MOST_CHORES = 10_000

#: Trees of ended executions that one sweep purges at most.
PURGED = 200

#: How long a bell that nobody answered is not rung again, at most.
LONGEST_PATIENCE = timedelta(minutes=5)

#: Seconds after which a store that does not answer is asked again: the first time, and at most.
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 5.0

#: Says False where the bell could not be rung.
Dispatch = Callable[[Ringable], object]


@dataclass(frozen=True, slots=True)
class Rung:
    """For whom a supervisor has rung: under which fence, and when it will do so again."""

    fence: int
    again_at: datetime
    patience: timedelta


class Supervisor:
    """
    Looks for what nobody drives; between two looks it remembers for whom it has rung.

    Whoever is pending and does not come is rung for less and less often: nobody may know its
    workflow, or its worker has a long queue before it. ``grace`` is how long a bell that was rung
    elsewhere has to be heard.
    """

    def __init__(
        self, dispatch: Dispatch | None = None, *, grace: timedelta = timedelta(0)
    ) -> None:
        self.dispatch = dispatch or wiring.dispatch
        self.grace = grace
        self._rung: dict[str, Rung] = {}
        self._place: Pending | None = None
        self._purge = Purge()

    def sweep(self, now: datetime | None = None) -> int:
        """
        Look once, and wake what is due; return how many executions were rung for.

        Due is: running with a lease that ran out, waits whose time has come, reminders, halted past
        the deadline, chores left undone, and pending with no bell ringing. It only compares, swaps
        and dispatches, so twice is harmless. Where RETENTION_DAYS is set, a batch of what ended
        before that is deleted as well. Raise StoreUnavailable.
        """
        store, now = wiring.store(), now or clock.now()
        woken, seen = 0, set[str]()
        # What has come is given to whoever waits for it, before a timeout is.
        self._do_chores(store, now, seen)
        while True:
            for execution in self._wake(store, now):
                woken += self._ring(execution)
                self._remember(execution, now)
            # Reminders that are due have just become chores; behind them there may be more.
            if not self._do_chores(store, now, seen):
                break
        woken += self._ring_for_pending(store, wiring.adapter(), now)
        self._purge_some(store, now)
        return woken

    def run(
        self, stopping: Event, interval: float | None = None, swept: Callable[[], object] = bool
    ) -> None:
        """
        Sweep every ``interval`` seconds until ``stopping``; call ``swept`` after each.

        A store that does not answer is logged once, and asked again with growing pauses.
        """
        pause = 0.0
        while not stopping.is_set():
            began = monotonic()
            try:
                wiring.store().refresh()  # a connection may have died while nobody looked
                self.sweep()
                swept()
            except StoreUnavailable as error:
                if not pause:
                    logger.warning("The supervisor cannot look: %s", error)
                pause = min(max(2 * pause, SHORTEST_PAUSE), LONGEST_PAUSE)
                stopping.wait(pause)
                continue
            except ConfigurationError as error:
                # Such as tables that are yet to be migrated; its text says what to do.
                logger.error("A sweep failed; the next one will try again: %s", error)  # noqa: TRY400
            except Exception:
                logger.exception("A sweep failed; the next one will try again")
            pause = 0.0
            every = settings.SWEEP_INTERVAL if interval is None else interval
            stopping.wait(max(0.0, every - (monotonic() - began)))

    def _wake(self, store: Store, now: datetime) -> Iterator[Execution]:
        """Decide on what is due, and yield who is woken, until nobody is."""
        while not wiring.stopping.is_set() and (woken := store.wake_due(now, BATCH)):
            yield from woken

    def _do_chores(self, store: Store, now: datetime, seen: set[str]) -> bool:
        """
        Do what its writer died before; what is left of it keeps nothing else from being done.

        Not what was ``seen`` in this sweep. Say whether there was anything.
        """
        chores, before, limit = wiring.chores(), len(seen), BATCH
        while len(seen) < MOST_CHORES:
            page = store.chores(now, limit)
            fresh = [chore for chore in page if chore.id not in seen]
            for chore in fresh:
                if wiring.stopping.is_set():
                    return False
                self._do_chore(chores, chore)
            seen.update(chore.id for chore in fresh)
            if len(page) < limit:
                break
            # Those that are left come first again: look past them.
            limit = BATCH + len(page) - len(fresh)
        return len(seen) > before

    def _do_chore(self, chores: Chores, chore: Chore) -> None:
        try:
            chores.do([chore])
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception(
                "Chore %s of execution %s could not be done",
                chore.kind,
                chore.execution_id,
                extra={"execution_id": chore.execution_id},
            )

    def _ring_for_pending(self, store: Store, adapter: Adapter, now: datetime) -> int:
        if adapter.polls or wiring.stopping.is_set():
            return 0
        seen: set[str] = set()

        def waiting() -> Iterator[Pending]:
            for pending in self._pages(store, now):
                seen.add(pending.id)
                known = self._rung.get(pending.id)
                if known is None or known.fence != pending.fence or known.again_at <= now:
                    yield pending

        rung = 0
        for pending in adapter.unheard(waiting()):
            rung += self._ring(pending)
            if adapter.is_quiet:
                break  # it is out of order: the next sweep begins anew
            self._remember(pending, now)
        if self._place is None:  # all of them were looked at: forget the others
            self._rung = {name: rung for name, rung in self._rung.items() if name in seen}
        return rung

    def _pages(self, store: Store, now: datetime) -> Iterator[Pending]:
        """Yield pending executions, from where the last sweep stopped."""
        for _ in range(0, MOST_RUNG, BATCH):
            page = store.pending(now - self.grace, BATCH, self._place)
            self._place = page[-1] if len(page) == BATCH else None
            yield from page
            if self._place is None:
                return

    def _purge_some(self, store: Store, now: datetime) -> None:
        """Delete a batch of what ended long ago; the next sweep goes on behind it."""
        if settings.RETENTION_DAYS is None or wiring.stopping.is_set():
            return
        try:
            self._purge.batch(store, now - timedelta(days=settings.RETENTION_DAYS), PURGED)
        except Exception:
            logger.exception("What has ended could not be purged; the next sweep will try again")

    def _remember(self, pending: Ringable, now: datetime) -> None:
        known = self._rung.get(pending.id)
        patience = timedelta(seconds=settings.SWEEP_INTERVAL)
        if known is not None and known.fence == pending.fence:
            patience = min(2 * known.patience, LONGEST_PATIENCE)
        self._rung[pending.id] = Rung(pending.fence, now + patience, patience)

    def _ring(self, execution: Ringable) -> bool:
        """Ring for one; say whether it rang. What goes wrong is logged."""
        try:
            return self.dispatch(execution) is not False
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception(
                "Execution %s could not be dispatched",
                execution.id,
                extra={"execution_id": execution.id},
            )
            return False


def sweep(now: datetime | None = None, *, dispatch: Dispatch | None = None) -> int:
    """Look once for what nobody drives; see Supervisor.sweep()."""
    return Supervisor(dispatch).sweep(now)
