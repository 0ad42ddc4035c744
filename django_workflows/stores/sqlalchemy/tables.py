"""
The tables of SqlAlchemyStore.

No index of executions has a column that a mere checkpoint writes (updated_at, the lease, the
position): PostgreSQL then touches none of them. The few that are running are found by their
status.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, MetaData, Table, UniqueConstraint, text

from django_workflows.core.chores import Chore
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.presence import Presence
from django_workflows.core.waits import InboxEvent, Wait
from django_workflows.stores.sqlalchemy.columns import (
    TOPIC_LENGTH,
    Name,
    columns_of,
    counter,
    long_text,
)

metadata = MetaData()

# Whatever the database's own default is, text may be in any language.
_OPTIONS: dict[str, Any] = {"mysql_charset": "utf8mb4", "mariadb_charset": "utf8mb4"}

executions = Table(
    "workflow_executions",
    metadata,
    *columns_of(Execution),
    UniqueConstraint("workflow_id", "idempotency_key", name="workflow_executions_key"),
    Index("workflow_executions_newest", "created_at", "id"),
    Index("workflow_executions_of_workflow", "workflow_id", "created_at", "id"),
    Index("workflow_executions_of_status", "status", "created_at", "id"),
    Index("workflow_executions_of_parent", "parent", "created_at", "id"),
    # Tells held children, which were never claimed, from those under way by their fence.
    Index("workflow_executions_of_step", "parent", "status", "fence", "item"),
    Index("workflow_executions_of_subject", "subject", "created_at", "id"),
    Index("workflow_executions_deadlines", "status", "deadline_at"),
    # What a purge reads; it has nothing of what is under way.
    Index(
        "workflow_executions_ended",
        "finished_at",
        "id",
        postgresql_where=text("finished_at IS NOT NULL"),
        sqlite_where=text("finished_at IS NOT NULL"),
    ),
    **_OPTIONS,
)

# The order in which what is pending is claimed: of all queues, and of one.
Index(
    "workflow_executions_in_turn",
    executions.c.status,
    executions.c.priority.desc(),
    executions.c.created_at,
)
Index(
    "workflow_executions_in_turn_by_queue",
    executions.c.status,
    executions.c.queue,
    executions.c.priority.desc(),
    executions.c.created_at,
)

entries = Table(
    "workflow_entries",
    metadata,
    Column("number", counter, primary_key=True, autoincrement=True),
    *columns_of(Entry),
    Index("workflow_entries_history", "execution_id", "number"),
    **_OPTIONS,
)

waits = Table(
    "workflow_waits",
    metadata,
    *columns_of(Wait),
    # Of the execution when the wait was opened. A fence only grows, so the waits of what was never
    # claimed are among those that were opened at 0; of these there are next to none.
    Column("fence", BigInteger, nullable=False),
    Index("workflow_waits_of_execution", "execution_id", "opened_at"),
    Index("workflow_waits_open", "status", "opened_at"),
    Index("workflow_waits_of_kind", "status", "kind", "opened_at"),
    Index("workflow_waits_of_key", "status", "key", "opened_at"),
    Index("workflow_waits_due", "status", "wake_at"),
    Index("workflow_waits_reminders", "status", "remind_at"),
    Index(
        "workflow_waits_unclaimed",
        "fence",
        "status",
        postgresql_where=text("fence = 0"),
        sqlite_where=text("fence = 0"),
    ),
    **_OPTIONS,
)

events = Table(
    "workflow_events",
    metadata,
    *columns_of(InboxEvent),
    Column("topic", Name(TOPIC_LENGTH), nullable=False),
    Index("workflow_events_inbox", "topic", "taken_by", "sent_at"),
    **_OPTIONS,
)

chores = Table(
    "workflow_chores",
    metadata,
    *columns_of(Chore),
    Index("workflow_chores_due", "due_at"),
    Index("workflow_chores_of_execution", "execution_id"),
    **_OPTIONS,
)

presences = Table("workflow_presences", metadata, *columns_of(Presence), **_OPTIONS)

graphs = Table(
    "workflow_graphs",
    metadata,
    Column("workflow_id", Name(255), primary_key=True),
    Column("version", Name(255), primary_key=True),
    Column("graph", long_text, nullable=False),
    **_OPTIONS,
)
