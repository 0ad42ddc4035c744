"""By which indexes databases find the few executions of somebody among many."""

from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Exists, OuterRef, Q

from django_workflows.core import clock
from django_workflows.models import WorkflowExecution, WorkflowWait
from tests.factories import WorkflowExecutionFactory, WorkflowWaitFactory

pytestmark = pytest.mark.django_db

MANY = 5_000


@pytest.fixture
def many():
    """Executions of many people: a few of ann's among the oldest, some halted for an approval."""
    oldest = clock.now() - timedelta(days=1)
    rows = WorkflowExecution.objects.bulk_create(
        WorkflowExecutionFactory.build_batch(MANY), batch_size=500
    )
    for number, row in enumerate(rows):
        row.created_at = oldest + timedelta(seconds=number)
        row.started_by = "ann" if number < 10 else f"user {number % 50}"
        row.status = "completed" if number % 40 else "halted"
    WorkflowExecution.objects.bulk_update(
        rows, ["created_at", "started_by", "status"], batch_size=500
    )
    waits = [
        WorkflowWaitFactory.build(
            execution=row, kind="approval", approvers=(f"user:{'ann' if n == 3 else 'bob'}",)
        )
        for n, row in enumerate(row for row in rows if row.status == "halted")
    ]
    WorkflowWait.objects.bulk_create(waits, batch_size=500)
    return rows


def plan_of(rows):
    """Return how the database finds them."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for model in (WorkflowExecution, WorkflowWait):
                cursor.execute(f"ANALYZE {model._meta.db_table}")
        sql, parameters = rows.query.sql_with_params()
        explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
        cursor.execute(f"{explain} {sql}", parameters)
        return "\n".join(str(line) for line in cursor.fetchall())


def test_those_that_somebody_has_started_are_found_in_order(many):
    mine = WorkflowExecution.objects.filter(started_by="ann")[:51]

    assert "workflows_ex_starter" in plan_of(mine)
    assert len(mine) == 10


def test_those_that_somebody_is_asked_about_too_are_found_by_indexes(many):
    asking = WorkflowWait.objects.asking(["user:ann"])
    mine = WorkflowExecution.objects.filter(Q(started_by="ann") | asking.executions())
    exists = Exists(asking.filter(execution=OuterRef("pk")))
    same = WorkflowExecution.objects.filter(Q(started_by="ann") | exists)

    plan = plan_of(mine[:51])

    assert list(mine) == list(same)
    assert len(mine) == 11
    if connection.vendor == "mysql":  # has none for such an OR; but reads the waits once
        assert "MATERIALIZED" in plan
    else:
        assert "workflows_ex_starter" in plan
        assert "workflows_ex_newest" not in plan


def test_executions_of_no_waits_are_none():
    WorkflowExecutionFactory()

    assert not WorkflowExecution.objects.filter(WorkflowWait.objects.asking([]).executions())
    assert not WorkflowExecution.objects.filter(WorkflowWait.objects.none().executions())
    excluded = WorkflowExecution.objects.exclude(WorkflowWait.objects.asking(["a"]).executions())
    assert len(excluded) == 1
