"""RedisStore: executions in Redis."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from django_workflows.core import clock
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Decide
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.store import Due, DueReason, Pending
from django_workflows.core.waits import InboxEvent, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import EventTaken, ExecutionNotFound, StaleExecution
from django_workflows.stores.changes import changed_fields
from django_workflows.stores.redis import scripts as scripts
from django_workflows.stores.redis.children import RedisChildren
from django_workflows.stores.redis.inbox import RedisInbox
from django_workflows.stores.redis.purging import RedisPurging
from django_workflows.stores.redis.rows import (
    cells,
    closed,
    left,
    lines,
    opened,
    place,
    record,
    score,
    text,
)

__all__ = ["RedisStore"]

_PENDING_FIELDS = tuple(field.name for field in fields(Pending))


class RedisStore(RedisChildren, RedisInbox, RedisPurging):
    """
    Keep executions in the Redis at ``url`` (6.2 or later, no cluster), under keys with ``prefix``.

    Nothing is given a time to live. How much survives a crash of Redis is up to its configuration:
    ``appendonly yes`` loses at most a second, ``appendfsync always`` nothing; ``maxmemory-policy``
    has to be ``noeviction``. A step cannot be ``atomic``, as its writes are in another place.

    ``timeout`` is how many seconds Redis may take to answer.
    """

    # Executions ---------------------------------------------------------------------------------

    def create(self, execution: Execution, entries: Sequence[Entry] = ()) -> Execution:
        new = {
            "id": execution.id,
            "cells": [*cells(execution), "token", self._token()],
            "entries": lines(entries),
        }
        (row,) = self._run(scripts.CREATE, "null", text([new]))
        return execution if row is None else record(Execution, row)

    def save(self, execution: Execution) -> Execution:
        self._write(execution.id, cells(execution), guard={})
        return execution

    def load(self, execution_id: str) -> Execution:
        return record(Execution, self._read(execution_id)[0])

    def find(
        self,
        workflow_id: str | None = None,
        status: ExecutionStatus | str | None = None,
        limit: int = 100,
        *,
        parent: str | None = None,
        subject: str | None = None,
    ) -> list[Execution]:
        sets = _sets("all", workflow=workflow_id, status=status, parent=parent, subject=subject)
        rows = self._run(scripts.SELECT, "execution", "newest", limit, "row", *sets)
        return [record(Execution, row) for row in rows]

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
        wanted = {"workflow": workflow_id, "status": status}
        sets = _sets("all", **wanted, parent=parent, parent_step=parent_step)
        sets += [f"-parent_step:{text(step)}" for step in except_steps]
        return list(self._run(scripts.SELECT, "execution", "newest", limit, "id", *sets))

    def delete(self, execution_id: str) -> bool:
        (chore,) = left([Chore(kind=ChoreKind.MEET)])
        return bool(self._run(scripts.DELETE, execution_id, text(chore)))

    # History ------------------------------------------------------------------------------------

    def record(self, entry: Entry) -> None:
        known = {"id": text(entry.execution_id)}
        if not self._write(entry.execution_id, (), [entry], guard=known):
            raise ExecutionNotFound(entry.execution_id)

    def entries(self, execution_id: str) -> list[Entry]:
        found = self._command("LRANGE", self._key("entries", execution_id), 0, -1)
        return [Entry.from_dict(json.loads(line)) for line in found]

    # What the engine needs ----------------------------------------------------------------------

    def claim(self, execution_id: str, owner: str, lease: timedelta) -> Execution | None:
        row = self._run(scripts.CLAIM, *self._claiming(owner, lease), execution_id)
        if row is None:
            self.load(execution_id)  # raises where there is none
            return None
        return record(Execution, row)

    def claim_pending(
        self,
        owner: str,
        lease: timedelta,
        limit: int,
        *,
        workflow_ids: Collection[str],
        queues: Collection[str | None] | None = None,
    ) -> list[Execution]:
        sets = [f"ready:{text(workflow_id)}" for workflow_id in set(workflow_ids)]
        if queues is not None:
            sets = [f"{name}:{text(queue)}" for name in sets for queue in set(queues)]
        claiming = self._claiming(owner, lease)
        claimed = [
            record(Execution, row)
            for row in self._run(scripts.CLAIM_PENDING, *claiming, limit, *sets)
        ]
        return sorted(claimed, key=lambda one: (-one.priority, one.created_at, one.id))

    def renew(self, execution_id: str, fence: int, lease: timedelta) -> bool:
        running = {"fence": text(fence), "status": text(ExecutionStatus.RUNNING.value)}
        until = ("lease_expires_at", text(score(clock.now() + lease)))
        return self._write(execution_id, until, guard=running)

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
        written = self._write(
            execution.id,
            cells(execution, changed_fields(execution, previous)),
            entries,
            [opened(wait) if wait.status == WaitStatus.OPEN else closed(wait) for wait in waits],
            chores,
            guard={"fence": text(fence)},
        )
        if not written:
            raise StaleExecution(execution.id, fence)

    def transition(self, execution_id: str, decide: Decide) -> Execution:
        """
        Write what ``decide(execution, waits)`` makes of the execution, and return it.

        Nothing is locked meanwhile: where somebody else wrote first, ``decide`` is asked again.
        """
        pause = 0.0
        while True:
            row, rows = self._read(execution_id)
            waits = [record(Wait, wait) for wait in rows]
            change = decide(record(Execution, row), waits)
            written = self._write(
                execution_id,
                cells(change.execution),
                change.entries,
                [opened(wait) for wait in change.waits],
                change.chores,
                event=change.event,
                guard={"token": row[row.index("token") + 1]},
            )
            if written:
                return change.execution
            pause = min(0.05, pause * 2 + 0.001)
            time.sleep(pause * secrets.SystemRandom().random())

    def waits(self, execution_id: str, *, status: WaitStatus | None = None) -> list[Wait]:
        _, rows = self._run(scripts.READ, execution_id)
        waits = [record(Wait, row) for row in rows]
        return [wait for wait in waits if status in {None, wait.status}]

    def find_waits(
        self, *, kind: WaitKind | None = None, key: str | None = None, limit: int = 100
    ) -> list[Wait]:
        sets = _sets("open", kind=kind, key=key)
        rows = self._run(scripts.SELECT, "wait", "oldest", limit, "row", *sets)
        return [record(Wait, row) for row in rows]

    def pending(
        self, before: datetime, limit: int = 500, after: Pending | None = None
    ) -> list[Pending]:
        wanted = text([*_PENDING_FIELDS, "updated_at"])
        begin = "-" if after is None else f"({place(after.created_at, after.id)}"
        found: list[Pending] = []
        while len(found) < limit:
            rows = self._run(scripts.PENDING, score(before), limit, begin, wanted)
            page = [record(Execution, row) for row in rows]
            found += [_pending(one) for one in page if one.updated_at <= before]
            if len(page) < limit:
                break
            begin = f"({place(page[-1].created_at, page[-1].id)}"
        return found[:limit]

    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        expired, late, ripe, forgotten = self._run(scripts.DUE, score(now), limit)
        executions = {DueReason.EXPIRED: expired, DueReason.DEADLINE: late}
        waits = {DueReason.WAIT: ripe, DueReason.REMINDER: forgotten}
        due = [
            Due(reason=reason, execution_id=execution_id)
            for reason, ids in executions.items()
            for execution_id in ids
        ]
        for reason, pairs in waits.items():
            for execution_id, wait_id in pairs:
                due.append(Due(reason=reason, execution_id=execution_id, wait_id=wait_id))
        return due

    # Redis --------------------------------------------------------------------------------------

    def _read(self, execution_id: str) -> tuple[list[str], list[list[str]]]:
        row, waits = self._run(scripts.READ, execution_id)
        if not row:
            raise ExecutionNotFound(execution_id)
        return row, waits

    def _claiming(self, owner: str, lease: timedelta) -> tuple[str, str, int, int]:
        now = clock.now()
        return self._token(), text(owner), score(now), score(now + lease)

    def _write(
        self,
        execution_id: str,
        changed: Sequence[str],
        entries: Sequence[Entry] = (),
        waits: Sequence[Mapping[str, Any]] = (),
        chores: Sequence[Chore] = (),
        *,
        event: InboxEvent | None = None,
        guard: Mapping[str, str],
    ) -> bool:
        """
        Write all of it as one, and say whether the stored row was as ``guard`` says.

        Raise EventTaken, with nothing written, where it was and ``event`` is taken.
        """
        change: dict[str, Any] = {
            "guard": guard,
            "cells": changed,
            "entries": lines(entries),
            "waits": waits,
            "chores": left(chores),
        }
        if event is not None:
            taken_by = text(event.taken_by)
            change["event"] = {"id": event.id, "topic": event.topic, "taken_by": taken_by}
        outcome = self._run(scripts.WRITE, execution_id, self._token(), text(change))
        if event is not None and outcome == "taken":
            raise EventTaken(event.id)
        return bool(outcome == "written")


def _sets(otherwise: str, **wanted: str | None) -> list[str]:
    """Return the names of the sets for what is given of ``wanted``, else the set ``otherwise``."""
    names = [f"{name}:{text(value)}" for name, value in wanted.items() if value is not None]
    return names or [otherwise]


def _pending(execution: Execution) -> Pending:
    return Pending(**{name: getattr(execution, name) for name in _PENDING_FIELDS})
