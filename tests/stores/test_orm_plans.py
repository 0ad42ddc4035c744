"""What OrmStore says to the database: counted on each of them, and planned by PostgreSQL."""

import hashlib
import json
from dataclasses import replace
from uuid import UUID

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows.core import clock
from django_workflows.core.decisions import Change, take
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Answer, WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionNotFound, StaleExecution
from django_workflows.models import (
    WorkflowChore,
    WorkflowEntry,
    WorkflowEvent,
    WorkflowExecution,
    WorkflowPresence,
    WorkflowVersion,
    WorkflowWait,
)
from django_workflows.stores.orm import OrmStore
from tests.stores.contract.records import (
    FULL_PRESENCE,
    MINUTE,
    UNKNOWN_ID,
    at,
    make_child,
    make_chore,
    make_entry,
    make_event,
    make_execution,
    make_wait,
)

MODELS = [
    WorkflowExecution,
    WorkflowEntry,
    WorkflowWait,
    WorkflowEvent,
    WorkflowVersion,
    WorkflowChore,
    WorkflowPresence,
]


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


def checkpoint_with_chores(store, execution):
    chores = [make_chore(execution), make_chore(execution)]
    store.checkpoint(execution, [make_entry(execution)], execution.fence, chores=chores)


def stale_checkpoint(store, execution):
    with pytest.raises(StaleExecution):
        store.checkpoint(execution, [make_entry(execution)], execution.fence + 1)


def settle(store, execution):
    store.settle(execution.id, None, Answer())


def add_event(store, execution):
    store.add_event(make_event())


def add_event_with_a_chore(store, execution):
    store.add_event(make_event(), make_chore())


def finish_chore(store, execution):
    store.finish_chore(UNKNOWN_ID)


def announce(store, execution):
    store.announce(FULL_PRESENCE)


def announce_again(store, execution):
    store.announce(FULL_PRESENCE)
    store.announce(replace(FULL_PRESENCE, threads=1))


def claim_no_pending(store, execution):
    assert store.claim_pending("worker", MINUTE, 5, workflow_ids=["nothing"]) == []


def claim_pending_of_no_workflow(store, execution):
    assert store.claim_pending("worker", MINUTE, 5, workflow_ids=[]) == []


def claim_pending_of_no_queue(store, execution):
    assert store.claim_pending("worker", MINUTE, 5, workflow_ids=["orders"], queues=[]) == []


def claim_pending(store, execution):
    assert len(store.claim_pending("worker", MINUTE, 5, workflow_ids=["orders"])) == 1


def claim_pending_of_two_queues(store, execution):
    queues = ["fast", None]
    assert store.claim_pending("worker", MINUTE, 5, workflow_ids=["orders"], queues=queues)


def create_children(store, execution):
    children = [make_child(execution, item) for item in range(20)]
    store.create_children(execution.id, execution.fence, children)


def children_state(store, execution):
    store.children_state(execution.id, "each")


def supersede(store, execution):
    store.supersede(execution.id, "each")


def purge_nothing(store, execution):
    assert store.ended(at(-(10**9))) == []


def purge_some(store, execution):
    purged = [
        store.create(make_execution(age, status=ExecutionStatus.FAILED, finished_at=at(age)))
        for age in range(2)
    ]
    assert store.purge([one.id for one in purged], at(100)).executions == 2


def empty_wake(store, execution):
    assert store.wake_due(at(0)) == []


#: The roots are locked, and asked for children and waits; then go waits, entries and chores.
PURGE = "SELECT SELECT SELECT DELETE DELETE DELETE DELETE COMMIT"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("work", "postgresql", "sqlite", "mysql"),
    [
        (create, "WITH", "INSERT", "INSERT"),
        (create_with_an_entry, "WITH", "BEGIN INSERT INSERT COMMIT", "BEGIN INSERT INSERT COMMIT"),
        (claim, "UPDATE", "UPDATE", "BEGIN UPDATE SELECT COMMIT"),
        (renew, "UPDATE", "UPDATE", "UPDATE"),
        (record, "INSERT", "INSERT", "INSERT"),
        (checkpoint, "WITH", "BEGIN UPDATE INSERT COMMIT", "BEGIN UPDATE INSERT COMMIT"),
        (checkpoint_without_entries, "WITH", "UPDATE", "UPDATE"),
        (
            checkpoint_with_waits,
            "WITH",
            "BEGIN UPDATE INSERT INSERT UPDATE COMMIT",
            "BEGIN UPDATE INSERT INSERT UPDATE COMMIT",
        ),
        (
            checkpoint_with_chores,
            "WITH",
            "BEGIN UPDATE INSERT INSERT COMMIT",
            "BEGIN UPDATE INSERT INSERT COMMIT",
        ),
        (stale_checkpoint, "WITH", "BEGIN UPDATE COMMIT", "BEGIN UPDATE COMMIT"),
        (
            settle,
            "BEGIN SELECT SELECT WITH COMMIT",
            "BEGIN UPDATE SELECT SELECT INSERT UPDATE COMMIT",
            "BEGIN SELECT SELECT INSERT UPDATE COMMIT",
        ),
        (add_event, "WITH", "INSERT", "INSERT"),
        (
            add_event_with_a_chore,
            "WITH",
            "BEGIN INSERT INSERT COMMIT",
            "BEGIN INSERT INSERT COMMIT",
        ),
        (finish_chore, "DELETE", "DELETE", "DELETE"),
        (announce, "UPDATE INSERT", "UPDATE INSERT", "UPDATE INSERT"),
        (announce_again, "UPDATE INSERT UPDATE", "UPDATE INSERT UPDATE", "UPDATE INSERT UPDATE"),
        (claim_no_pending, "WITH", "SELECT", "SELECT"),
        (claim_pending_of_no_workflow, "", "", ""),
        (claim_pending_of_no_queue, "", "", ""),
        (
            claim_pending,
            "WITH",
            "SELECT BEGIN UPDATE SELECT UPDATE SELECT COMMIT",
            "SELECT BEGIN SELECT UPDATE SELECT COMMIT",
        ),
        (
            claim_pending_of_two_queues,
            "WITH",
            "SELECT SELECT BEGIN UPDATE SELECT UPDATE SELECT COMMIT",
            "SELECT SELECT BEGIN SELECT UPDATE SELECT COMMIT",
        ),
        (
            create_children,
            "BEGIN SELECT INSERT COMMIT",
            "BEGIN UPDATE SELECT INSERT COMMIT",
            "BEGIN SELECT INSERT COMMIT",
        ),
        (children_state, "SELECT", "SELECT", "SELECT"),
        (supersede, "UPDATE", "UPDATE", "UPDATE"),
        (purge_nothing, "SELECT", "SELECT", "SELECT"),
        (
            purge_some,
            f"WITH WITH SELECT BEGIN {PURGE}",
            f"INSERT INSERT SELECT BEGIN UPDATE {PURGE}",
            f"INSERT INSERT SELECT BEGIN {PURGE}",
        ),
        (empty_wake, "SELECT SELECT SELECT SELECT", *["SELECT SELECT SELECT SELECT"] * 2),
    ],
)
def test_nothing_takes_more_statements_than_it_must(store, work, postgresql, sqlite, mysql):
    execution = store.create(make_execution(lease_expires_at=at(0)))
    store.checkpoint(execution, [], execution.fence, [make_wait(execution)])
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
    parent_id, idempotency_key, subject, queue, finished_at)
SELECT md5('e' || n)::uuid, 'workflow ' || n % 20, '1',
    CASE WHEN n % 100 < 90 THEN 'completed' WHEN n % 100 < 94 THEN 'failed'
         WHEN n % 100 < 97 THEN 'halted' WHEN n % 100 < 99 THEN 'pending' ELSE 'running' END,
    '{}', '{}', '{}', '[]', moment, moment, moment + '1 day', moment, 1, 1, 1, n % 3,
    CASE WHEN n % 10 = 0 THEN md5('e' || n / 10)::uuid END,
    CASE WHEN n % 2 = 0 THEN 'key ' || n END, 'shop.order:' || n % 5000,
    CASE n % 3 WHEN 0 THEN 'fast' WHEN 1 THEN 'slow' END,
    CASE WHEN n % 100 < 94 THEN moment + interval '1 hour' END
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
    opened_at, wake_at, remind_at, key)
SELECT md5('w' || n)::uuid, md5('e' || n)::uuid, 'review',
    CASE n % 3 WHEN 0 THEN 'approval' WHEN 1 THEN 'timer' ELSE 'event' END,
    CASE WHEN n % 10 = 0 THEN 'open' ELSE 'taken' END, '{}', '[]', 1, false, '[]',
    moment, moment, moment, 'paid:' || n
FROM generate_series(1, 100000) AS n, LATERAL (
    SELECT timestamptz '2026-01-01' + n * interval '1 minute' AS moment) AS moments
"""
EVENTS = """
INSERT INTO django_workflows_workflowevent (id, name, key, sent_at, taken_by)
SELECT md5('v' || n)::uuid, 'paid', n % 10000, '2026-01-01',
    CASE WHEN n % 10 <> 0 THEN md5('w' || n)::uuid END
FROM generate_series(1, 100000) AS n
"""
# Two parents of ten thousand: of one nearly all are held, of the other nearly all are done.
CHILDREN = """
INSERT INTO django_workflows_workflowexecution (
    id, workflow_id, workflow_version, status, input, ctx, frames, compensations,
    created_at, updated_at, fence, claims, attempt, priority, parent_id, parent_step, item,
    finished_at)
SELECT md5(parent || n)::uuid, 'child', '1',
    CASE WHEN parent = 'held' AND n > 20 THEN 'halted' WHEN parent = 'done' AND n <= 9980
         THEN 'completed' ELSE 'running' END,
    '{}', '{}', '{}', '[]', '2026-01-01', '2026-01-01',
    CASE WHEN parent = 'held' AND n > 20 THEN 0 ELSE 1 END, 0, 1, 0, md5(place)::uuid, 'each', n,
    CASE WHEN parent = 'done' AND n <= 9980 THEN timestamptz '2026-01-01' END
FROM generate_series(1, 10000) AS n, (VALUES ('held', 'e1'), ('done', 'e2')) AS given(parent, place)
"""
CHORES = """
INSERT INTO django_workflows_workflowchore (id, kind, execution_id, target, reason, due_at)
SELECT md5('c' || n)::uuid, 'meet', md5('e' || n)::uuid, '', '', moment
FROM generate_series(1, 100000) AS n, LATERAL (
    SELECT timestamptz '2026-01-01' + n * interval '1 minute' AS moment) AS moments
"""
VERSIONS = """
INSERT INTO django_workflows_workflowversion (workflow_id, version, graph)
SELECT 'workflow ' || n % 100, n, '{}' FROM generate_series(1, 10000) AS n
"""


@pytest.fixture(scope="module")
def crowded(django_db_setup, django_db_blocker):
    """A hundred thousand of everything, for all tests of this module, and gone after them."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for sql in (EXECUTIONS, CHILDREN, ENTRIES, WAITS, EVENTS, CHORES, VERSIONS, "ANALYZE"):
            cursor.execute(sql)
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        tables = ", ".join(model._meta.db_table for model in MODELS)
        cursor.execute(f"TRUNCATE {tables}")


@pytest.fixture
def plans(crowded, db):
    """Collect the plan of each statement that is executed, and what was read by it."""
    collected = []

    def explain(execute, sql, params, many, context):
        if sql.split()[0] in {"SELECT", "INSERT", "UPDATE", "DELETE", "WITH"}:
            with connection.connection.cursor() as cursor:
                # Executed twice: so the first time is undone.
                cursor.execute("SAVEPOINT explained")
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
                (text,) = cursor.fetchone()
                (plan,) = text if isinstance(text, list) else json.loads(text)
                cursor.execute("ROLLBACK TO SAVEPOINT explained")
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


def create_children_again(store):
    parent = some(store, "running")
    children = [make_child(parent, item) for item in range(20)]
    store.create_children(parent.id, parent.fence, children)
    assert store.create_children(parent.id, parent.fence, children) == children


def purge(store, **asked):
    ended = store.ended(NOW, 200, **asked)
    assert len(ended) == 200
    # The first are above ten thousand children, and go by themselves.
    ended = [one.id for one in ended if one.id not in {HELD, DONE}]
    assert store.purge(ended, NOW).roots == len(ended)


NOW = at(10**9)
KNOWN = [f"workflow {number}" for number in range(20)]
HELD, DONE = (str(UUID(hashlib.md5(place).hexdigest())) for place in (b"e1", b"e2"))

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
    "wake_due": lambda store: store.wake_due(NOW),
    "wake_none": lambda store: store.wake_due(at(-(10**9))),
    "pending": lambda store: store.pending(NOW),
    "pending_after": lambda store: store.pending(NOW, 100, store.pending(NOW)[-1]),
    "claim_pending": lambda store: store.claim_pending("w", MINUTE, 10, workflow_ids=KNOWN),
    "claim_pending_of_one_queue": lambda store: store.claim_pending(
        "w", MINUTE, 10, workflow_ids=KNOWN, queues=["slow"]
    ),
    "claim_pending_of_no_named_queue": lambda store: store.claim_pending(
        "w", MINUTE, 10, workflow_ids=KNOWN, queues=[None]
    ),
    "claim_pending_of_two_queues": lambda store: store.claim_pending(
        "w", MINUTE, 10, workflow_ids=KNOWN, queues=["slow", None]
    ),
    "claim_pending_of_an_empty_queue": lambda store: store.claim_pending(
        "w", MINUTE, 10, workflow_ids=KNOWN, queues=["nothing"]
    ),
    "create_children": lambda store: create_children(store, some(store, "running")),
    "create_children_again": create_children_again,
    "children_state_of_the_held": lambda store: store.children_state(HELD, "each"),
    "children_state_of_the_done": lambda store: store.children_state(DONE, "each"),
    "children_state_of_none": lambda store: store.children_state(UNKNOWN_ID, "each"),
    "tally": lambda store: store.tally(HELD, "each"),
    "children": lambda store: store.children(some(store, "failed").id, "each"),
    "supersede": lambda store: store.supersede(DONE, "each"),
    "release_held": lambda store: store.release_held(HELD, "each", 25),
    "release_none": lambda store: store.release_held(HELD, "each", 20),
    "release_where_none_are_held": lambda store: store.release_held(DONE, "each", 25),
    "execution_ids_of_children": lambda store: store.execution_ids(
        parent=HELD, parent_step="each", status="halted", limit=200
    ),
    "delete_a_child": lambda store: store.delete(store.execution_ids(parent=HELD, limit=1)[0]),
    "ended": lambda store: store.ended(NOW),
    "ended_after": lambda store: store.ended(NOW, after=store.ended(NOW, 5000)[-1]),
    "ended_of_none": lambda store: store.ended(at(-(10**9))),
    "ended_of_workflows": lambda store: store.ended(NOW, workflow_ids=["workflow 7", "gone"]),
    "ended_of_an_unknown_workflow": lambda store: store.ended(NOW, workflow_ids=["gone"]),
    "ended_with_a_rare_status": lambda store: store.ended(NOW, statuses=["failed"]),
    "purge": purge,
    "purge_above_ten_thousand": lambda store: store.purge([DONE], NOW),
    "chores": lambda store: store.chores(NOW),
    "chores_of_none": lambda store: store.chores(at(-(10**9))),
    "finish_chore": lambda store: store.finish_chore(store.chores(NOW, 1)[0].id),
    "finish_chores": lambda store: store.finish_chores([one.id for one in store.chores(NOW, 9)]),
    "with_children": lambda store: store.with_children([HELD, DONE, UNKNOWN_ID]),
    "transition_all": lambda store: store.transition_all(
        store.execution_ids(parent=HELD, limit=200), lambda one, waits: Change(execution=one)
    ),
    "add_event": lambda store: store.add_event(make_event(), make_chore()),
    "next_event": lambda store: store.next_event("paid:80"),
    "next_event_that_is_not_there": lambda store: store.next_event("a:b:c:d"),
    "take_an_event": lambda store: store.transition(
        wait_of(store).execution_id, take(wait_of(store).id, store.next_event("paid:80"))
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


#: Each page goes on where the last one stopped: what is not asked for is read once in a purge.
PASSED_OVER = {"ended_of_workflows", "ended_with_a_rare_status"}


@needs_postgres
@pytest.mark.parametrize("method", sorted(set(METHODS) - PASSED_OVER))
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
        "pending",
        "pending_after",
        "chores",
        "claim_pending",
        "claim_pending_of_one_queue",
        "claim_pending_of_no_named_queue",
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


def rows_read(steps):
    """Return how many rows, or entries of indexes, the scans of a plan came upon."""
    return sum(
        (step["Actual Rows"] + step.get("Rows Removed by Filter", 0)) * step["Actual Loops"]
        for step in steps
        if step["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Index Scan", "Seq Scan"}
    )


@needs_postgres
@pytest.mark.parametrize(
    ("method", "most"),
    [
        ("children_state_of_the_held", 1),
        ("children_state_of_the_done", 1),
        ("children_state_of_none", 0),
        # Those under way, and those that follow; rows that other tests left behind count, too.
        ("release_none", 500),
        ("release_where_none_are_held", 500),
        ("release_held", 500),
        ("claim_pending", 2 * 10),
        ("claim_pending_of_one_queue", 2 * 10),
        ("claim_pending_of_no_named_queue", 2 * 10),
        ("claim_pending_of_two_queues", 2 * (10 + 100) * 2 + 10),
        ("claim_pending_of_an_empty_queue", 0),
        ("pending", 500),
        ("chores_of_none", 0),
        ("ended", 100 + 1),
        ("ended_after", 2 * 5000),
        ("ended_of_none", 0),
    ],
)
def test_of_ten_thousand_children_and_more_are_read_those_that_matter(store, plans, method, most):
    METHODS[method](store)

    assert sum(rows_read(steps) for _, steps in plans) <= most


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
