"""How OrmStore decides under the lock: on one execution, and on all that is due."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import F, Q, QuerySet, Value

from django_workflows.core.chores import Chore
from django_workflows.core.decisions import Decide, Due, DueReason, wake_up
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.ids import canonical
from django_workflows.core.logs import log_entries
from django_workflows.core.waits import InboxEvent, Wait, WaitStatus
from django_workflows.exceptions import InvalidTransition, NotResumable, StoreUnavailable
from django_workflows.fields import IdField
from django_workflows.stores.orm.connection import answers, repeats
from django_workflows.stores.orm.notes import OrmNotes
from django_workflows.stores.orm.statements import Statement, write_all

if TYPE_CHECKING:
    from django_workflows.models import WorkflowExecution, WorkflowWait

#: How often it is looked for what is due where others have decided on all of it meanwhile.
LOOKS = 3

#: Where a look cannot pass over what others hold, for how many of them it leaves room.
SHARE = 4

logger = logging.getLogger("django_workflows")


@dataclass(slots=True)
class Held:
    """An execution under its lock: as it was read, and what was decided on it since."""

    before: Execution
    waits_before: Mapping[str, Wait]
    execution: Execution
    waits: Mapping[str, Wait]
    entries: list[Entry] = field(default_factory=list)
    chores: list[Chore] = field(default_factory=list)
    events: list[InboxEvent] = field(default_factory=list)

    @classmethod
    def of(cls, execution: Execution, waits: Iterable[Wait]) -> Held:
        """Return what was read just now."""
        by_id = {wait.id: wait for wait in waits}
        return cls(execution, by_id, execution, by_id)

    def decide(self, decide: Decide) -> None:
        """Change it as ``decide`` says. Raise what that raises."""
        change = decide(self.execution, list(self.waits.values()))
        self.execution = change.execution
        self.waits = {**self.waits, **{wait.id: wait for wait in change.waits}}
        self.entries += change.entries
        self.chores += change.chores
        self.events += [] if change.event is None else [change.event]

    @property
    def is_decided(self) -> bool:
        """Whether anything was decided."""
        return bool(self.entries) or self.execution is not self.before

    @property
    def is_woken(self) -> bool:
        """Whether it is pending now, and was not before."""
        pending = ExecutionStatus.PENDING
        return self.execution.status == pending != self.before.status


class OrmWaking(OrmNotes):
    """Transitions of OrmStore, one by one and by the hundred."""

    @answers
    @repeats
    def transition(self, execution_id: str, decide: Decide) -> Execution:
        with transaction.atomic(using=self.using):
            self._begin_writing()
            row = self._row(self._lock(self._executions), execution_id)
            waits = self._lock(self._waits.filter(execution=row)).order_by("opened_at", "id")
            held = Held.of(row.to_core(), [wait.to_core() for wait in waits])
            held.decide(decide)
            for event in held.events:
                self._take(event)
            write_all(self._connection, list(self._differences([held])))
        return held.execution

    def transition_all(self, execution_ids: Sequence[str], decide: Decide) -> list[Execution]:
        """
        Decide on many in one transaction, see Store.transition_all().

        Where one cannot be read or decided, all are tried one by one.
        """
        try:
            return self._transition_together(execution_ids, decide)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  raised again for whichever it comes from
            logger.info("%d executions are decided one by one: %s", len(execution_ids), error)
            return super().transition_all(execution_ids, decide)

    @answers
    @repeats
    def _transition_together(self, execution_ids: Sequence[str], decide: Decide) -> list[Execution]:
        with transaction.atomic(using=self.using):
            self._begin_writing()
            known = [name for name in map(canonical, execution_ids) if name is not None]
            # By id, as whoever else locks several does.
            rows = self._lock(self._executions.filter(id__in=known)).order_by("id")
            executions = {row.id: row.to_core() for row in rows}
            waits = self._lock_waits(self._waits.filter(execution__in=executions))
            every = {
                name: Held.of(executions[name], waits[name]) for name in known if name in executions
            }
            for held in every.values():
                with suppress(InvalidTransition):
                    held.decide(decide)
                for event in held.events:
                    self._take(event)
            write_all(self._connection, list(self._differences(every.values())))
        return [held.execution for held in every.values() if held.is_decided]

    @answers
    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        return [
            Due(reason=reason, execution_id=execution_id, wait_id=wait_id)
            for reason, rows in self._due(now).items()
            for execution_id, wait_id in rows.values_list("id", "due_wait")[:limit]
        ]

    def wake_due(self, now: datetime, limit: int = 100) -> list[Execution]:
        """
        Decide on what is due in one transaction, see Store.wake_due().

        What others hold is passed over, and theirs to decide: so supervisors at once share the
        work. Where one cannot be read or decided, all are tried one by one.
        """
        decided: list[Held] = []
        try:
            for _ in range(LOOKS):
                due = self.due(now, limit * self._share)
                decided = self._wake_together(due, now, limit) if due else []
                if decided or not due:
                    break
            for held in decided:
                log_entries(held.execution, held.entries)
            return [held.execution for held in decided if held.is_woken]
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  of whichever it comes: that one is logged
            logger.info("What is due is decided one by one: %s", error)
            return super().wake_due(now, limit)

    @property
    def _share(self) -> int:
        """Return how many times more are looked at than are to be woken."""
        features = self._connection.features
        looks_anew = features.has_select_for_update_of
        return SHARE if features.has_select_for_update and not looks_anew else 1

    # Due ----------------------------------------------------------------------------------------

    def _due(self, now: datetime) -> dict[DueReason, QuerySet[Any, Any]]:
        """Return the executions that are due for each reason, with the id of the ``due_wait``."""
        running = self._executions.filter(status=ExecutionStatus.RUNNING)
        halted = self._executions.filter(status=ExecutionStatus.HALTED)
        ended = running.filter(Q(lease_expires_at=None) | Q(lease_expires_at__lt=now))
        late = halted.filter(deadline_at__lte=now)
        no_wait = Value(None, output_field=IdField())
        return {
            DueReason.EXPIRED: ended.annotate(due_wait=no_wait).order_by(
                F("lease_expires_at").asc(nulls_first=True)
            ),
            DueReason.WAIT: self._waiting("wake_at", now),
            DueReason.REMINDER: self._waiting("remind_at", now),
            DueReason.DEADLINE: late.annotate(due_wait=no_wait).order_by("deadline_at"),
        }

    def _waiting(self, name: str, now: datetime) -> QuerySet[Any, Any]:
        """Return executions with an open wait whose time ``name`` has come, a row for each."""
        until = {"waits__status": WaitStatus.OPEN, f"waits__{name}__lte": now}
        # Annotated after they are filtered: before, it would be another wait's.
        rows = self._executions.filter(**until).annotate(due_wait=F("waits__id"))
        return rows.annotate(due_at=F(f"waits__{name}")).order_by("due_at")

    @answers
    @repeats
    def _wake_together(self, due: Sequence[Due], now: datetime, limit: int) -> list[Held]:
        """Decide on those that nobody else decides on, and return what was decided."""
        with transaction.atomic(using=self.using):
            self._begin_writing()
            locked = self._lock_due(due, now, limit)
            executions = {row.id: row.to_core() for _, row in locked}
            due_waits = [one.wait_id for one, _ in locked if one.wait_id is not None]
            waits = self._lock_waits(self._waits.filter(id__in=due_waits))
            every = {name: Held.of(one, waits[name]) for name, one in executions.items()}
            for one, _ in locked:
                with suppress(NotResumable):  # another hand was quicker
                    every[one.execution_id].decide(wake_up(one, now))
            write_all(self._connection, list(self._differences(every.values())))
        return [held for held in every.values() if held.is_decided]

    def _lock_due(
        self, due: Sequence[Due], now: datetime, limit: int
    ) -> list[tuple[Due, WorkflowExecution]]:
        """Lock executions that are due and in nobody's hands, and return them with the reason."""
        if not self._connection.features.has_select_for_update_of:
            # By id: looked for, rows that are not due would be locked for a moment as well, and
            # others would pass them over.
            rows = {
                row.id: row
                for reason in DueReason
                for row in self._lock_first(
                    self._executions,
                    dict.fromkeys(one.execution_id for one in due if one.reason == reason),
                    limit,
                )
            }
            return [(one, rows[one.execution_id]) for one in due if one.execution_id in rows]
        # Looked for anew, so that what others hold leaves room for what they do not.
        asked = self._due(now)
        return [
            (Due(reason=reason, execution_id=row.id, wait_id=row.due_wait), row)
            for reason in DueReason
            if any(one.reason == reason for one in due)
            for row in self._lock(asked[reason], skip=True, of=["self"])[:limit]
        ]

    def _lock_waits(self, rows: QuerySet[WorkflowWait]) -> Mapping[str, list[Wait]]:
        """Lock waits of executions that are locked, and return them by execution, oldest first."""
        waits = defaultdict(list)
        for row in self._lock(rows).order_by("opened_at", "id"):
            waits[row.execution_id].append(row.to_core())
        return waits

    # Statements ---------------------------------------------------------------------------------

    def _differences(self, every: Collection[Held]) -> Iterator[Statement]:
        """Yield what writes all that was decided."""
        connection, tables = self._connection, self._tables
        executions = [
            (held.execution, names)
            for held in every
            if (names := tables.executions.differing(held.execution, held.before))
        ]
        opened, changed = [], []
        for held in every:
            for wait in held.waits.values():
                before = held.waits_before.get(wait.id)
                if before is None:
                    opened.append(wait)
                elif names := tables.waits.differing(wait, before):
                    changed.append((wait, names))
        entries = [entry for held in every for entry in held.entries]
        chores = [chore for held in every for chore in held.chores]
        yield from tables.executions.update_all(connection, executions)
        yield from tables.entries.insert_all(connection, entries, guarded=False)
        yield from tables.waits.insert_all(connection, opened, guarded=False)
        yield from tables.waits.update_all(connection, changed)
        yield from tables.chores.insert_all(connection, chores, guarded=False)
