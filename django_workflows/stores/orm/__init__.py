"""OrmStore: executions in the project's own database, through Django's connections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from django.db import transaction

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.ids import canonical
from django_workflows.core.waits import Wait, WaitStatus
from django_workflows.exceptions import (
    ConfigurationError,
    ExecutionNotFound,
    StaleExecution,
    StoreUnavailable,
)
from django_workflows.stores.orm.children import OrmChildren
from django_workflows.stores.orm.claiming import OrmClaiming
from django_workflows.stores.orm.connection import (
    StoreTransaction,
    answers,
    close_if_dead,
    repeats,
    went_away,
)
from django_workflows.stores.orm.grouping import Checkpoint, GroupCommit
from django_workflows.stores.orm.purging import OrmPurging
from django_workflows.stores.orm.reading import OrmReading
from django_workflows.stores.orm.rows import NOBODY
from django_workflows.stores.orm.statements import Statement, write_guarded
from django_workflows.stores.orm.waking import OrmWaking

#: How often create() looks for the execution that holds its key before it gives up.
CREATE_ATTEMPTS = 3


class OrmStore(OrmReading, OrmClaiming, OrmWaking, OrmChildren, OrmPurging):
    """
    Keep executions in the database ``using``, an alias of ``settings.DATABASES``.

    An ``atomic`` step that writes to the same alias commits together with its checkpoint.
    """

    supports_atomic = True

    _group: GroupCommit | None = None

    # Executions ---------------------------------------------------------------------------------

    @answers
    def create(self, execution: Execution, entries: Sequence[Entry] = ()) -> Execution:
        guard = self._tables.executions.insert(self._connection, execution)
        rest = list(self._tables.entries.insert_all(self._connection, entries, guarded=True))
        for _ in range(CREATE_ATTEMPTS):
            if write_guarded(self._connection, guard, rest):
                return execution
            known = self._known(execution)
            if known is not None:
                return known.to_core()
        raise StoreUnavailable(
            f"OrmStore(using={self.using!r})",
            f"execution {execution.id} or its key {execution.idempotency_key!r} is there and"
            " cannot be seen; is it hidden by a transaction with REPEATABLE READ?",
        )

    @answers
    def save(self, execution: Execution) -> Execution:
        columns = self._executions.model.columns_of(execution)
        self._executions.update_or_create(id=execution.id, defaults=columns)
        return execution

    @answers
    @repeats
    def delete(self, execution_id: str) -> bool:
        with transaction.atomic(using=self.using):
            self._begin_writing()
            level = self._lock_to_delete([canonical(execution_id) or NOBODY])
            if not level:
                return False
            ((_, parent),) = level
            doomed: list[Any] = []
            # Locked level by level, so that no driver adds to what is about to go.
            while ids := [one for one, _ in level]:
                doomed += ids
                below: Any = self._executions.filter(parent__in=ids).order_by()
                level = self._lock_to_delete(list(below.values_list("id", flat=True)))
            self._executions.filter(id__in=doomed).delete()
            if parent is not None:
                chore = Chore(kind=ChoreKind.MEET, execution_id=parent)
                self._tables.chores.insert(self._connection, chore).execute(self._connection)
        return True

    def _lock_to_delete(self, ids: Sequence[str]) -> list[Any]:
        """Lock rows, against the writing of children as well; return ids and parents of them."""
        # By id: locked by their parent, MariaDB would come upon them from the other side.
        rows = self._executions.filter(id__in=ids).select_for_update().order_by("id")
        return list(rows.values_list("id", "parent"))

    @answers
    def record(self, entry: Entry) -> None:
        tables, owner_id = self._tables, canonical(entry.execution_id)
        if owner_id is None:
            raise ExecutionNotFound(entry.execution_id)
        added = tables.entries.insert_below(self._connection, entry, tables.executions, owner_id)
        if not added.execute(self._connection):
            raise ExecutionNotFound(entry.execution_id)

    @answers
    @repeats
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
        if canonical(execution.id) is None:
            raise StaleExecution(execution.id, fence)
        differing = self._tables.executions.differing(execution, previous)
        # The fence is asked for and not written: claims alone make it grow.
        names = [name for name in differing if name not in {"id", "fence", "updated_at"}]
        names.append("updated_at")
        group = self._group_for(execution, fence, waits, chores)
        if group is not None and group.write(Checkpoint(execution, tuple(names), entries)):
            return
        guard = self._tables.executions.update(
            self._connection, execution, names, where={"id": execution.id, "fence": fence}
        )
        rest = list(self._beside_checkpoint(entries, waits, chores))
        if not write_guarded(self._connection, guard, rest):
            raise StaleExecution(execution.id, fence)

    def _group_for(
        self, execution: Execution, fence: int, waits: Sequence[Wait], chores: Sequence[Chore]
    ) -> GroupCommit | None:
        """Return with which others a checkpoint may be written, if with any."""
        # In a transaction, it is to commit with what else is in there.
        is_alone = waits or chores or execution.fence != fence or self._connection.in_atomic_block
        return None if is_alone else self._group

    def _beside_checkpoint(
        self, entries: Sequence[Entry], waits: Sequence[Wait], chores: Sequence[Chore]
    ) -> Iterator[Statement]:
        connection, tables = self._connection, self._tables
        opened = [wait for wait in waits if wait.status == WaitStatus.OPEN]
        yield from tables.entries.insert_all(connection, entries, guarded=True)
        yield from tables.waits.insert_all(connection, opened, guarded=True)
        for wait in waits:
            if wait.status != WaitStatus.OPEN:
                yield tables.waits.update(
                    connection, wait, ["status"], where={"id": wait.id}, guarded=True
                )
        yield from tables.chores.insert_all(connection, chores, guarded=True)

    # Transactions -------------------------------------------------------------------------------

    @contextmanager
    def group_commit(self, busy: Callable[[], int]) -> Iterator[None]:
        connection = self._connection
        commits = connection.vendor == "postgresql" and connection.settings_dict["AUTOCOMMIT"]
        if not commits or self._group is not None:
            yield
            return
        self._group = group = GroupCommit(self.using, self._tables, busy)
        try:
            yield
        finally:
            self._group = None
            group.close()

    def atomic(self) -> AbstractContextManager[Any]:
        return StoreTransaction(self.using, savepoint=True, durable=False)

    def lost_by(self, error: BaseException) -> bool:
        return super().lost_by(error) or went_away(self.using, error)

    def refresh(self) -> None:
        close_if_dead(self._connection)

    def refuse_open_transaction(self) -> None:
        # As Django's atomic(durable=True) refuses it, and allows it inside a TestCase.
        blocks = self._connection.atomic_blocks
        if blocks and not getattr(blocks[-1], "_from_testcase", False):
            raise ConfigurationError(
                "An execution cannot be driven inside an open transaction on the database"
                f" {self.using!r}: its checkpoints would be undone with it. Leave the atomic()"
                " block first, or use start(), which is dispatched when the block commits."
            )

    def on_commit(self, callback: Callable[[], object]) -> None:
        transaction.on_commit(callback, using=self.using)
