"""
Group commit: checkpoints of several executions as one statement of PostgreSQL, and one commit.

While one thread of a worker writes, those that come gather, and the first of them writes for all.
Nobody goes on before its own checkpoint is committed, so a crash loses nothing that was told of.
"""

# ruff: noqa: S608  What is put together are names of tables and columns; values are parameters.

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from threading import Condition, Lock
from time import monotonic
from typing import Any

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from django_workflows.core.execution import Entry, Execution
from django_workflows.stores.orm.connection import close_if_dead, is_quiet
from django_workflows.stores.orm.prepared import read_rows
from django_workflows.stores.orm.rows import Tables

#: How many checkpoints one statement writes at most.
MOST = 100

#: Seconds for which others are waited for at most, before a statement is sent.
PATIENCE = 0.002

#: How many executions have to be driven for anybody to be waited for.
SIBLINGS = 4


#: Seconds without a write after which the other end may have vanished without a word.
IDLE = 1.0


def _held() -> Lock:
    lock = Lock()
    lock.acquire()
    return lock


@dataclass(slots=True, eq=False)
class Checkpoint:
    """One checkpoint without waits or chores, and what became of it."""

    execution: Execution
    names: tuple[str, ...]  # of the fields that it writes
    entries: Sequence[Entry]
    is_written: bool = False
    error: BaseException | None = None
    leads: bool = False
    turn: Lock = field(default_factory=_held)  # released once it is written, or is to lead

    def outcome(self) -> bool:
        """Return whether it is written, or raise why that cannot be told."""
        if self.error is None:
            return self.is_written
        if isinstance(self.error, DatabaseError | InterfaceError):
            raise type(self.error)(*self.error.args) from self.error.__cause__
        raise OperationalError("What came of this statement is not known.") from self.error


class GroupCommit:
    """
    Writes on one connection of its own; who drives needs none for it.

    ``busy`` says how many executions this process drives just now.
    """

    def __init__(self, using: str, tables: Tables, busy: Callable[[], int]) -> None:
        self._tables = tables
        self._busy = busy
        self._connection = connections[using].copy()
        self._connection.inc_thread_sharing()  # whoever leads has it to itself
        self._waiting: list[Checkpoint] = []
        self._is_led = False
        self._wanted = 0
        self._used = monotonic()
        self._changed = Condition(Lock())

    def close(self) -> None:
        """Close the connection, once nobody writes any more."""
        with suppress(DatabaseError, InterfaceError):
            self._connection.close()

    def write(self, one: Checkpoint) -> bool:
        """
        Write ``one`` with those that wait as well; return False where it has to be written alone.

        That is where its fence is another, where somebody has locked its row, and where what one
        of them writes is refused. Raise what the database raises where it went away.
        """
        with self._changed:
            if any(other.execution.id == one.execution.id for other in self._waiting):
                return False  # two drivers, of whom one is late: each is judged by its own fence
            self._waiting.append(one)
            one.leads, self._is_led = not self._is_led, True
            if len(self._waiting) == self._wanted:
                self._changed.notify()
        try:
            if not one.leads:
                one.turn.acquire()
            if one.leads:
                self._lead()
        finally:
            # Whatever is raised in this thread, others are not to wait for it.
            self._leave(one)
        return one.outcome()

    def _lead(self) -> None:
        with self._changed:
            self._gather()
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
        try:
            self._write(batch)
        finally:
            for one in batch:
                one.turn.release()

    def _leave(self, one: Checkpoint) -> None:
        """Let the first that waits lead, or nobody, if ``one`` has led or was about to."""
        with self._changed:
            if one in self._waiting:
                self._waiting.remove(one)
            if not one.leads:
                return
            self._is_led = bool(self._waiting)
            if self._waiting:
                follower = self._waiting[0]
                follower.leads = True
                follower.turn.release()

    def _gather(self) -> None:
        """Wait a little for half of those who drive."""
        busy = self._busy()
        if busy >= SIBLINGS:
            self._wanted = min(MOST, busy // 2)
            self._changed.wait_for(lambda: len(self._waiting) >= self._wanted, PATIENCE)
            self._wanted = 0

    def _write(self, batch: Sequence[Checkpoint]) -> None:
        try:
            if monotonic() - self._used > IDLE or not is_quiet(self._connection):
                close_if_dead(self._connection)
            self._used = monotonic()
            written = self._write_now(batch)
        except BaseException as error:
            if self._is_undone(error):
                return  # each has it again when it is written alone
            for one in batch:
                one.error = error
            self.close()
            if not isinstance(error, Exception):
                raise
        else:
            for one in batch:
                one.is_written = one.execution.id in written

    def _is_undone(self, error: BaseException) -> bool:
        """Say whether nothing is written for certain; a connection that broke may have done so."""
        if not isinstance(error, Exception):
            return False
        if self._connection.connection is None:  # nothing was sent, or nobody answers
            return not isinstance(error, DatabaseError | InterfaceError)
        return self._connection.is_usable()

    def _write_now(self, batch: Sequence[Checkpoint]) -> set[str]:
        """Write what can be written without waiting for anybody, and return the ids."""
        # Who waits for a row would hold up the others, for as long as somebody's request takes.
        return self._write_one(*batch) if len(batch) == 1 else self._write_as_one(batch)

    def _write_one(self, one: Checkpoint) -> set[str]:
        """Write it by a statement that stays prepared."""
        connection, executions = self._connection, self._tables.executions
        where = {"id": one.execution.id, "fence": one.execution.fence}
        update = executions.update(connection, one.execution, one.names, where=where)
        found = [executions.value(connection, name, value) for name, value in where.items()]
        locked = f"SELECT 1 FROM {executions.name} WHERE id = %s AND fence = %s"
        parts = [f"locked AS ({locked} FOR NO KEY UPDATE SKIP LOCKED)"]
        parts.append(f"guard AS ({update.sql} AND EXISTS (SELECT 1 FROM locked) RETURNING 1)")
        params = [*found, *update.params]
        inserts = self._tables.entries.insert_all(connection, one.entries, guarded=True)
        for number, insert in enumerate(inserts):
            parts.append(f"added{number} AS ({insert.sql})")
            params += insert.params
        ((hits,),) = read_rows(
            connection, f"WITH {', '.join(parts)} SELECT count(*) FROM guard", params
        )
        return {one.execution.id} if hits else set()

    def _write_as_one(self, batch: Sequence[Checkpoint]) -> set[str]:
        """Write them by one statement."""
        table = self._tables.executions
        locked = f"SELECT id, fence FROM {table.name} WHERE id = ANY(%s::uuid[])"
        parts = [f"locked AS ({locked} FOR NO KEY UPDATE SKIP LOCKED)"]
        params: list[Any] = [[one.execution.id for one in batch]]
        alike = groupby(sorted(batch, key=attrgetter("names")), attrgetter("names"))
        for number, (names, some) in enumerate(alike):
            executions = [one.execution for one in some]
            update = table.update_fenced(self._connection, executions, names)
            parts.append(f"hit{number} AS ({update.sql})")
            params += update.params
        hits = " UNION ALL ".join(f"SELECT id FROM hit{n}" for n in range(len(parts) - 1))
        parts.append(f"hits AS ({hits})")
        if entries := [entry for one in batch for entry in one.entries]:
            insert = self._tables.entries.insert_beside(self._connection, entries, "execution_id")
            parts.append(f"added AS ({insert.sql})")
            params += insert.params
        # Not prepared: how many there are decides how they are best found.
        rows = read_rows(
            self._connection, f"WITH {', '.join(parts)} SELECT id FROM hits", params, again=False
        )
        return {str(found) for (found,) in rows}
