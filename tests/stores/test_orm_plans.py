"""What OrmStore says to the database: counted on each of them, and planned by PostgreSQL."""

import json
from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows.core import clock
from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Answer, WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionNotFound, StaleExecution
from django_workflows.models import (
    WorkflowEntry,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowVersion,
    WorkflowWait,
)
from django_workflows.stores.orm import OrmStore
from tests.factories import InboxEventFactory
from tests.stores.contract.records import (
    MINUTE,
    UNKNOWN_ID,
    at,
    make_entry,
    make_execution,
    make_wait,
)

MODELS = [WorkflowExecution, WorkflowEntry, WorkflowWait, WorkflowEvent, WorkflowVersion]


@pytest.fixture
def store():
    return OrmStore()


# Counted ----------------------------------------------------------------------------------------


def create(store, execution):
    store.create(make_execution())


def create_with_an_entry(store, execution):
    new = make_execution()
    store.create(new, [make_entry(new)])


def claim(store, execution):
    store.claim(execution.id, "worker", MINUTE)


def renew(store, execution):
    store.renew(execution.id, 1, MINUTE)


def record(store, execution):
    store.record(make_entry(execution))


def checkpoint(store, execution):
    after = replace(execution, ctx={"n": 1})
    entries = [make_entry(execution, str(number)) for number in range(3)]
    store.checkpoint(after, entries, execution.fence, previous=execution)


def checkpoint_without_entries(store, execution):
    store.checkpoint(execution, [], execution.fence, previous=execution)


def checkpoint_with_waits(store, execution):
    opened = make_wait(execution)
    closed = [replace(make_wait(execution), status=WaitStatus.TAKEN)]
    store.checkpoint(execution, [make_entry(execution)], execution.fence, [opened, *closed])


def stale_checkpoint(store, execution):
    with pytest.raises(StaleExecution):
        store.checkpoint(execution, [make_entry(execution)], execution.fence + 1)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("work", "postgresql", "sqlite", "mysql"),
    [
        (create, "INSERT", "INSERT", "INSERT"),
        (create_with_an_entry, "WITH", "BEGIN INSERT INSERT COMMIT", "BEGIN INSERT INSERT COMMIT"),
        (claim, "UPDATE", "UPDATE", "BEGIN UPDATE SELECT COMMIT"),
        (renew, "UPDATE", "UPDATE", "UPDATE"),
        (record, "INSERT", "INSERT", "INSERT"),
        (checkpoint, "WITH", "BEGIN UPDATE INSERT COMMIT", "BEGIN UPDATE INSERT COMMIT"),
        (checkpoint_without_entries, "UPDATE", "UPDATE", "UPDATE"),
        (
            checkpoint_with_waits,
            "WITH",
            "BEGIN UPDATE INSERT INSERT UPDATE COMMIT",
            "BEGIN UPDATE INSERT INSERT UPDATE COMMIT",
        ),
        (stale_checkpoint, "WITH", "BEGIN UPDATE COMMIT", "BEGIN UPDATE COMMIT"),
    ],
)
def test_nothing_takes_more_statements_than_it_must(store, work, postgresql, sqlite, mysql):
    execution = store.create(make_execution(lease_expires_at=at(0)))
    expected = {"postgresql": postgresql, "sqlite": sqlite, "mysql": mysql}

    with CaptureQueriesContext(connection) as said:
        work(store, execution)

    words = [query["sql"].split()[0] for query in said]
    assert words == expected[connection.vendor].split()


@pytest.mark.django_db
def test_a_checkpoint_says_only_what_differs(store):
    execution = store.create(make_execution(input={"kept": 1}, ctx={"n": 1}))
    after = replace(execution, ctx={"n": 2}, current_step="charge", priority=0)

    with CaptureQueriesContext(connection) as said:
        store.checkpoint(after, [], 0, previous=execution)

    (sql,) = [query["sql"] for query in said]
    written = sql.partition("SET")[2].partition("WHERE")[0]
    columns = [part.split("=")[0].strip(' "`') for part in written.split(", ") if "=" in part]
    assert columns == ["ctx", "current_step", "updated_at"]


# Planned ----------------------------------------------------------------------------------------

needs_postgres = pytest.mark.skipif(
    "__import__('django.db').db.connection.vendor != 'postgresql'", reason="PostgreSQL's own"
)

EXECUTIONS = """
INSERT INTO django_workflows_workflowexecution (
    id, workflow_id, workflow_version, status, input, ctx, frames, compensations,
    created_at, updated_at, deadline_at, lease_expires_at, fence, claims, attempt, priority,
    parent_id, idempotency_key, subject)
SELECT md5('e' || n)::uuid, 'workflow ' || n % 20, '1',
    CASE WHEN n % 100 < 90 THEN 'completed' WHEN n % 100 < 94 THEN 'failed'
         WHEN n % 100 < 97 THEN 'halted' WHEN n % 100 < 99 THEN 'pending' ELSE 'running' END,
    '{}', '{}', '{}', '[]', moment, moment, moment + '1 day', moment, 1, 1, 1, n % 3,
    CASE WHEN n % 10 = 0 THEN md5('e' || n / 10)::uuid END,
    CASE WHEN n % 2 = 0 THEN 'key ' || n END, 'shop.order:' || n % 5000
FROM generate_series(1, 100000) AS n, LATERAL (
    SELECT timestamptz '2026-01-01' + n * interval '1 minute' AS moment) AS moments
"""
ENTRIES = """
INSERT INTO django_workflows_workflowentry (
    execution_id, step_id, step_type, action, attempt, timestamp)
SELECT md5('e' || n)::uuid, 'charge', 'call', 'completed', 1, '2026-01-01'
FROM generate_series(1, 100000) AS n
"""
WAITS = """
INSERT INTO django_workflows_workflowwait (
    id, execution_id, step, kind, status, data, approvers, required, exclude_requester, answers,
    opened_at, wake_at, key)
SELECT md5('w' || n)::uuid, md5('e' || n)::uuid, 'review',
    CASE n % 3 WHEN 0 THEN 'approval' WHEN 1 THEN 'timer' ELSE 'event' END,
    CASE WHEN n % 10 = 0 THEN 'open' ELSE 'taken' END, '{}', '[]', 1, false, '[]',
    moment, moment, 'paid:' || n
FROM generate_series(1, 100000) AS n, LATERAL (
    SELECT timestamptz '2026-01-01' + n * interval '1 minute' AS moment) AS moments
"""
EVENTS = """
INSERT INTO django_workflows_workflowevent (id, name, key, sent_at, taken_by)
SELECT md5('v' || n)::uuid, 'paid', n % 10000, '2026-01-01',
    CASE WHEN n % 10 <> 0 THEN md5('w' || n)::uuid END
FROM generate_series(1, 100000) AS n
"""
VERSIONS = """
INSERT INTO django_workflows_workflowversion (workflow_id, version, graph)
SELECT 'workflow ' || n % 100, n, '{}' FROM generate_series(1, 10000) AS n
"""


@pytest.fixture(scope="module")
def crowded(django_db_setup, django_db_blocker):
    """A hundred thousand of everything, for all tests of this module, and gone after them."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for sql in (EXECUTIONS, ENTRIES, WAITS, EVENTS, VERSIONS, "ANALYZE"):
            cursor.execute(sql)
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        tables = ", ".join(model._meta.db_table for model in MODELS)
        cursor.execute(f"TRUNCATE {tables}")


@pytest.fixture
def plans(crowded, db):
    """Collect the plan of each statement that is executed; what only reads is counted as well."""
    collected = []

    def explain(execute, sql, params, many, context):
        word = sql.split()[0]
        if word in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
            options = "ANALYZE, FORMAT JSON" if word == "SELECT" else "FORMAT JSON"
            with connection.connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN ({options}) {sql}", params)
                (text,) = cursor.fetchone()
                (plan,) = text if isinstance(text, list) else json.loads(text)
                collected.append((sql, list(nodes(plan["Plan"]))))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        yield collected


def nodes(plan):
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def some(store, status):
    return store.find(status=status, limit=1)[0]


def wait_of(store):
    return store.find_waits(kind=WaitKind.EVENT, limit=1)[0]


def claim_of_an_unknown_id(store):
    with pytest.raises(ExecutionNotFound):
        store.claim(UNKNOWN_ID, "worker", MINUTE)


NOW = at(10**9)

METHODS = {
    "create": lambda store: store.create(make_execution(idempotency_key="new")),
    "create_with_a_known_key": lambda store: store.create(
        make_execution(workflow_id="workflow 2", idempotency_key="key 2")
    ),
    "create_with_a_known_id": lambda store: store.create(some(store, "failed")),
    "save": lambda store: store.save(some(store, "failed")),
    "load": lambda store: store.load(some(store, "failed").id),
    "find": lambda store: store.find(),
    "find_by_workflow": lambda store: store.find(workflow_id="workflow 7"),
    "find_by_rare_status": lambda store: store.find(status="running"),
    "find_by_common_status": lambda store: store.find(status="completed"),
    "find_by_parent": lambda store: store.find(parent=some(store, "failed").id),
    "find_by_subject": lambda store: store.find(subject="shop.order:7"),
    "find_by_workflow_and_status": lambda store: store.find(
        workflow_id="workflow 7", status="completed"
    ),
    "find_by_all": lambda store: store.find(
        workflow_id="workflow 7", status="failed", subject="shop.order:7", parent=UNKNOWN_ID
    ),
    "find_nothing": lambda store: store.find(workflow_id="none", status="completed"),
    "execution_ids": lambda store: store.execution_ids(),
    "execution_ids_by_workflow": lambda store: store.execution_ids(workflow_id="workflow 7"),
    "execution_ids_by_status": lambda store: store.execution_ids(status="halted"),
    "execution_ids_by_both": lambda store: store.execution_ids(
        workflow_id="workflow 15", status="halted", limit=100
    ),
    "delete": lambda store: store.delete(some(store, "failed").id),
    "record": lambda store: store.record(make_entry(some(store, "running"))),
    "entries": lambda store: store.entries(some(store, "failed").id),
    "claim": lambda store: store.claim(some(store, "pending").id, "worker", MINUTE),
    "claim_of_what_runs": lambda store: store.claim(some(store, "running").id, "w", MINUTE),
    "claim_of_an_unknown_id": claim_of_an_unknown_id,
    "renew": lambda store: store.renew(some(store, "running").id, 1, MINUTE),
    "checkpoint": lambda store: checkpoint(store, some(store, "running")),
    "checkpoint_with_waits": lambda store: checkpoint_with_waits(store, some(store, "running")),
    "transition": lambda store: store.transition(
        some(store, "halted").id,
        lambda stored, waits: Change(
            execution=replace(stored, status=ExecutionStatus.PENDING),
            entries=[make_entry(stored)],
            waits=[make_wait(stored), *(replace(wait, key="other") for wait in waits)],
        ),
    ),
    "settle": lambda store: store.settle(wait_of(store).execution_id, None, Answer()),
    "waits": lambda store: store.waits(some(store, "halted").id),
    "waits_by_status": lambda store: store.waits(some(store, "halted").id, status="open"),
    "find_waits": lambda store: store.find_waits(),
    "find_waits_by_kind": lambda store: store.find_waits(kind=WaitKind.TIMER),
    "find_waits_by_rare_kind": lambda store: store.find_waits(kind=WaitKind.CHILD),
    "find_waits_by_key": lambda store: store.find_waits(key="paid:70"),
    "find_waits_by_both": lambda store: store.find_waits(kind=WaitKind.EVENT, key="paid:80"),
    "due": lambda store: store.due(NOW),
    "due_soon": lambda store: store.due(at(0)),
    "add_event": lambda store: store.add_event(InboxEventFactory.build()),
    "reserve_event": lambda store: store.reserve_event(make_wait(make_execution(), key="paid:80")),
    "reserve_event_that_is_not_there": lambda store: store.reserve_event(
        make_wait(make_execution(), key="a:b:c:d")
    ),
    "remember_graph": lambda store: store.remember_graph("workflow 7", "new", {}),
    "remember_another_graph": lambda store: store.remember_graph("workflow 7", "7", {"n": 1}),
    "graph": lambda store: store.graph("workflow 7", "7"),
}


@needs_postgres
@pytest.mark.parametrize("method", METHODS)
def test_a_hundred_thousand_rows_are_never_read_through(store, plans, method):
    METHODS[method](store)

    read_through = [
        sql for sql, steps in plans for step in steps if step["Node Type"] == "Seq Scan"
    ]
    assert plans
    assert read_through == []


@needs_postgres
@pytest.mark.parametrize("method", METHODS)
def test_little_is_read_in_vain(store, plans, method):
    METHODS[method](store)

    in_vain = [
        sql
        for sql, steps in plans
        if sum(step.get("Rows Removed by Filter", 0) for step in steps) > 1000
    ]
    assert in_vain == []


@needs_postgres
@pytest.mark.parametrize(
    "method",
    [
        "find",
        "find_by_workflow",
        "find_by_common_status",
        "find_by_rare_status",
        "execution_ids",
        "find_waits",
        "find_waits_by_kind",
        "due",
    ],
)
def test_the_first_hundred_are_read_in_order_and_not_sorted(store, plans, method):
    METHODS[method](store)

    sorted_ones = [
        sql
        for sql, steps in plans
        for step in steps
        # What runs is few: their leases are read from the rows, see WorkflowExecution.Meta.
        if step["Node Type"] == "Sort" and "lease_expires_at" not in str(step["Sort Key"])
    ]
    assert sorted_ones == []


@needs_postgres
@pytest.mark.django_db
def test_a_checkpoint_touches_no_index_of_its_execution(store):
    """PostgreSQL calls it a HOT update: no indexed column was written."""
    execution = store.claim(store.create(make_execution()).id, "worker", MINUTE)

    def updates():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables"
                " WHERE relname = 'django_workflows_workflowexecution'"
            )
            return cursor.fetchone()

    before = updates()
    for number in range(10):
        after = replace(
            execution,
            ctx={"n": number},
            current_step=str(number),
            updated_at=clock.now(),
            lease_expires_at=clock.now() + MINUTE,
            attempt=number,
        )
        store.checkpoint(after, [make_entry(after)], after.fence, previous=execution)
    updated, hot = (now - then for now, then in zip(updates(), before, strict=True))

    assert updated == 10
    # One of them may have found its page full.
    assert hot >= 9
