"""What a run costs: statements and commits, counted on the database of the tests."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_workflows import F, Q, api
from django_workflows.core.engine import Engine
from django_workflows.steps import Assign, Call, Router, Transform, When
from django_workflows.stores.orm import OrmStore
from tests import kinds

pytestmark = pytest.mark.django_db(transaction=True)

only_postgres = pytest.mark.skipif(
    connection.vendor != "postgresql", reason="one statement a step is PostgreSQL's"
)


def cost(**steps):
    """Return the statements of one run, BEGIN and COMMIT left out, and its commits."""
    engine = Engine(kinds.workflow("counted", steps).definition, OrmStore())
    with CaptureQueriesContext(connection) as captured:
        engine.run({}).raise_for_status()
    statements = commits = 0
    in_transaction = False
    for query in captured:
        if query["sql"].startswith("BEGIN"):
            in_transaction = True
        elif query["sql"] == "COMMIT":
            in_transaction = False
            commits += 1
        else:
            statements += 1
            commits += not in_transaction  # on its own, a statement is a transaction
    return statements, commits


def effectful(count):
    return {f"step_{number}": Call(lambda: "done") for number in range(count)} | {
        "last": Assign(last=1)
    }


@only_postgres
@pytest.mark.parametrize("count", [1, 5, 20])
def test_run_of_n_effectful_steps_takes_n_plus_2_commits(count):
    statements, commits = cost(**effectful(count))

    assert statements <= count + 3
    assert commits <= count + 2


def test_pure_steps_cost_nothing():
    plain = cost(**effectful(3))

    with_pure = cost(
        **effectful(3),
        total=Assign(total=F("step_0")),
        choose=Router(When(Q(total="done"), then="shaped"), default="shaped"),
        shaped=Transform("ctx", ["keys", "count"]),
    )

    assert with_pure == plain


def test_workflow_of_pure_steps_is_written_twice():
    _, commits = cost(first=Assign(last=1), second=Assign(more=F("last")))

    assert commits == 2  # created, and completed


@only_postgres
def test_atomic_step_commits_once_with_its_checkpoint():
    _, commits = cost(only=Call(lambda: "done", atomic=True), last=Assign(last=1))

    assert commits <= 1 + 2


@only_postgres
def test_start_is_one_statement_and_a_ring(settings):
    settings.WORKFLOWS = {
        "ADAPTER": {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}
    }
    workflow = kinds.workflow("started", {"only": Call(lambda: "done")})
    api.start(workflow.definition)  # whose graph is written once

    with CaptureQueriesContext(connection) as captured:
        api.start(workflow.definition)

    insert, ring = (query["sql"] for query in captured)
    assert "INSERT INTO" in insert
    assert "pg_notify" in ring
