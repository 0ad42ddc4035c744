"""What a supervisor's look costs PostgreSQL where a hundred thousand wait and nothing is due."""

from time import perf_counter

import pytest
from django.db import connection

from django_workflows.core import clock
from django_workflows.models import WorkflowChore, WorkflowExecution, WorkflowPresence, WorkflowWait
from django_workflows.stores.orm import OrmStore

pytestmark = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="its rows are made by PostgreSQL"
)

#: How long the database may take for all of it, in seconds; and how often it is asked, because a
#: machine may have other things to do.
MOST, TIMES = 0.005, 20

EXECUTIONS = """
INSERT INTO django_workflows_workflowexecution (
    id, workflow_id, workflow_version, status, input, ctx, frames, compensations,
    created_at, updated_at, deadline_at, fence, claims, attempt, priority)
SELECT md5('e' || n)::uuid, 'workflow ' || n % 20, '1', 'halted', '{}', '{}', '{}', '[]',
    moment, moment, CASE WHEN n % 2 = 0 THEN moment + interval '1 year' END, 1, 0, 1, 0
FROM generate_series(1, 100000) AS n, LATERAL (SELECT now() - n * interval '1 s' AS moment) AS m
"""
WAITS = """
INSERT INTO django_workflows_workflowwait (
    id, execution_id, step, kind, status, data, approvers, required, exclude_requester, answers,
    opened_at, wake_at, remind_at, key)
SELECT md5('w' || n)::uuid, md5('e' || n)::uuid, 'review',
    CASE n % 4 WHEN 0 THEN 'timer' WHEN 1 THEN 'approval' WHEN 2 THEN 'event' ELSE 'child' END,
    'open', '{}', '[]', 1, false, '[]', moment,
    CASE WHEN n % 4 < 2 THEN moment + interval '1 year' END,
    CASE WHEN n % 4 = 1 THEN moment + interval '1 year' END,
    CASE WHEN n % 4 > 1 THEN 'paid:' || n END
FROM generate_series(1, 100000) AS n, LATERAL (SELECT now() - n * interval '1 s' AS moment) AS m
"""
CHORES = """
INSERT INTO django_workflows_workflowchore (id, kind, execution_id, target, reason, due_at)
SELECT md5('c' || n)::uuid, 'meet', md5('e' || n)::uuid, '', '', now() + interval '1 hour'
FROM generate_series(1, 10000) AS n
"""


@pytest.fixture(scope="module")
def waiting(django_db_setup, django_db_blocker):
    """A hundred thousand that wait, for all tests of this module, and gone after them."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for sql in (EXECUTIONS, WAITS, CHORES, "ANALYZE"):
            cursor.execute(sql)
    yield
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        models = (WorkflowExecution, WorkflowWait, WorkflowChore, WorkflowPresence)
        tables = ", ".join(model._meta.db_table for model in models)
        cursor.execute(f"TRUNCATE {tables} CASCADE")


@pytest.fixture
def spent(waiting, db):
    """Collect for each statement how long the database was busy with it, the way included."""
    seconds = []

    def measure(execute, sql, params, many, context):
        began = perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            seconds.append(perf_counter() - began)

    with connection.execute_wrapper(measure):
        yield seconds


def sweep(store):
    now = clock.now()
    assert store.wake_due(now, 200) == []
    assert store.chores(now, 200) == []
    assert store.pending(now) == []


def test_a_look_at_a_hundred_thousand_that_wait_takes_less_than_5_ms(spent):
    store = OrmStore()
    sweeps = []

    for _ in range(TIMES):
        spent.clear()
        sweep(store)
        sweeps.append(sum(spent))

    assert len(spent) == 6  # four reasons why something is due, chores, what is pending
    assert min(sweeps) < MOST


def test_a_look_by_plans_that_postgresql_makes_anew_reads_next_to_nothing(waiting, db):
    """However busy the machine is: what is read are the ends of indexes."""
    read = []

    def explain(execute, sql, params, many, context):
        with connection.connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
            plan = cursor.fetchone()[0][0]["Plan"]
            read.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        sweep(OrmStore())

    assert len(read) == 6
    assert sum(read) < 50
