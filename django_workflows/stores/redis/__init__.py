"""RedisStore: executions in Redis."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django_workflows.core import clock, codec
from django_workflows.core.decisions import Decide
from django_workflows.core.execution import Entry, Execution, ExecutionStatus
from django_workflows.core.store import Due, DueReason, Store
from django_workflows.core.waits import InboxEvent, Wait, WaitKind, WaitStatus
from django_workflows.exceptions import (
    ConfigurationError,
    ExecutionNotFound,
    StaleExecution,
    StoreUnavailable,
)
from django_workflows.stores.changes import changed_fields
from django_workflows.stores.redis import scripts as scripts
from django_workflows.stores.redis.rows import cells, record, score, text

try:
    import redis
    from redis import exceptions as errors
except ImportError as error:  # pragma: no cover  the tests have it
    raise ConfigurationError(
        'RedisStore needs the redis library: pip install "django-durable-workflows[redis]"'
    ) from error

_UNAVAILABLE = (
    errors.ConnectionError,
    errors.OutOfMemoryError,
    errors.ReadOnlyError,
    errors.TimeoutError,
)


class RedisStore(Store):
    """
    Keep executions in the Redis at ``url`` (6.2 or later, no cluster), under keys with ``prefix``.

    Nothing is given a time to live. How much survives a crash of Redis is up to its configuration:
    ``appendonly yes`` loses at most a second, ``appendfsync always`` nothing; ``maxmemory-policy``
    has to be ``noeviction``. A step cannot be ``atomic``, as its writes are in another place.

    ``timeout`` is how many seconds Redis may take to answer.
    """

    def __init__(
        self,
        url: str = "redis://127.0.0.1:6379/0",
        prefix: str = "workflows",
        timeout: float = 10,
        **options: Any,
    ) -> None:
        super().__init__(url=url, prefix=prefix, timeout=timeout, **options)
        self.prefix = prefix
        self.client = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            **options,
        )
        self._scripts: dict[str, Any] = {}

    # Executions ---------------------------------------------------------------------------------

    def create(self, execution: Execution, entries: Sequence[Entry] = ()) -> Execution:
        new = [*cells(execution), "token", _token()]
        row = self._run(scripts.CREATE, execution.id, text(new), _texts(entries))
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
    ) -> list[str]:
        sets = _sets("all", workflow=workflow_id, status=status)
        return list(self._run(scripts.SELECT, "execution", "newest", limit, "id", *sets))

    def delete(self, execution_id: str) -> bool:
        return bool(self._run(scripts.DELETE, execution_id))

    # History ------------------------------------------------------------------------------------

    def record(self, entry: Entry) -> None:
        known = {"id": text(entry.execution_id)}
        if not self._write(entry.execution_id, (), [entry], guard=known):
            raise ExecutionNotFound(entry.execution_id)

    def entries(self, execution_id: str) -> list[Entry]:
        lines = self._command("LRANGE", self._key("entries", execution_id), 0, -1)
        return [Entry.from_dict(json.loads(line)) for line in lines]

    # What the engine needs ----------------------------------------------------------------------

    def claim(self, execution_id: str, owner: str, lease: timedelta) -> Execution | None:
        now = clock.now()
        row = self._run(
            scripts.CLAIM,
            execution_id,
            _token(),
            text(owner),
            score(now),
            score(now + lease),
        )
        if row is None:
            self.load(execution_id)  # raises where there is none
            return None
        return record(Execution, row)

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
        previous: Execution | None = None,
    ) -> None:
        changed = cells(execution, changed_fields(execution, previous))
        written = self._write(
            execution.id,
            changed,
            entries,
            [_opened(wait) if wait.status == WaitStatus.OPEN else _closed(wait) for wait in waits],
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
                [_opened(wait) for wait in change.waits],
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

    def due(self, now: datetime, limit: int = 100) -> list[Due]:
        pending, expired, waits, late = self._run(scripts.DUE, score(now), limit)
        listed = {
            DueReason.PENDING: pending,
            DueReason.EXPIRED: expired,
            DueReason.DEADLINE: late,
        }
        due = [
            Due(reason=reason, execution_id=execution_id)
            for reason, ids in listed.items()
            for execution_id in ids
        ]
        for execution_id, wait_id in waits:
            due.append(Due(reason=DueReason.WAIT, execution_id=execution_id, wait_id=wait_id))
        return due

    # Events and versions ------------------------------------------------------------------------

    def add_event(self, event: InboxEvent) -> None:
        self._run(scripts.ADD_EVENT, event.id, event.topic, text(cells(event)))

    def reserve_event(self, wait: Wait) -> InboxEvent | None:
        if wait.key is None:
            return None
        row = self._run(scripts.RESERVE_EVENT, wait.id, text(wait.id), wait.key)
        return None if row is None else record(InboxEvent, row)

    def remember_graph(self, workflow_id: str, version: str, graph: Mapping[str, Any]) -> None:
        self._command("HSET", self._key("graphs", workflow_id), version, codec.dumps(dict(graph)))

    def graph(self, workflow_id: str, version: str) -> dict[str, Any] | None:
        kept = self._command("HGET", self._key("graphs", workflow_id), version)
        return None if kept is None else codec.loads(kept)

    # Redis --------------------------------------------------------------------------------------

    def _read(self, execution_id: str) -> tuple[list[str], list[list[str]]]:
        row, waits = self._run(scripts.READ, execution_id)
        if not row:
            raise ExecutionNotFound(execution_id)
        return row, waits

    def _write(
        self,
        execution_id: str,
        changed: Sequence[str],
        entries: Sequence[Entry] = (),
        waits: Sequence[Mapping[str, Any]] = (),
        *,
        guard: Mapping[str, str],
    ) -> bool:
        """Write all of it as one, and say whether the stored row was as ``guard`` says."""
        return bool(
            self._run(
                scripts.WRITE,
                execution_id,
                _token(),
                text(dict(guard)),
                text(changed),
                _texts(entries),
                text(waits),
            )
        )

    def _run(self, script: str, *arguments: str | float) -> Any:
        if script not in self._scripts:
            self._scripts[script] = self.client.register_script(script)
        return self._asked(self._scripts[script], args=[self.prefix, *arguments])

    def _command(self, *arguments: str | int) -> Any:
        return self._asked(self.client.execute_command, *arguments)

    def _asked(self, ask: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return ask(*arguments, **options)
        except _UNAVAILABLE as error:
            raise StoreUnavailable(type(self).__name__, error) from error

    def _key(self, *parts: str) -> str:
        return ":".join((self.prefix, *parts))


def _sets(otherwise: str, **wanted: str | None) -> list[str]:
    """Return the names of the sets for what is given of ``wanted``, else the set ``otherwise``."""
    names = [f"{name}:{text(value)}" for name, value in wanted.items() if value is not None]
    return names or [otherwise]


def _token() -> str:
    return secrets.token_hex(8)


def _texts(entries: Sequence[Entry]) -> str:
    return text([text(entry.to_dict()) for entry in entries])


def _opened(wait: Wait) -> dict[str, Any]:
    return {"id": wait.id, "known_only": False, "cells": cells(wait)}


def _closed(wait: Wait) -> dict[str, Any]:
    return {"id": wait.id, "known_only": True, "cells": cells(wait, ["status"])}
