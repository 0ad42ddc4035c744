"""What several processes at once do to SqlAlchemyStore, one of them standing still."""

import json
import logging
from contextlib import contextmanager
from dataclasses import replace

import pytest

from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from tests.stores.contract.records import (
    MINUTE,
    at,
    halted,
    make_child,
    make_execution,
    running,
)

sa = pytest.importorskip("sqlalchemy")

from sqlalchemy.dialects import mysql, postgresql, sqlite  # noqa: E402

from django_workflows.stores.sqlalchemy import tables, writing  # noqa: E402
from django_workflows.stores.sqlalchemy.locking import can_pass_over, locked  # noqa: E402
from tests.stores.databases import emptied  # noqa: E402

ORDERS = ["orders"]


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def store(request):
    """Each database in turn, for what is SQLAlchemy's own."""
    return emptied(request.getfixturevalue(request.param))


@pytest.fixture(params=["postgres", "mariadb"])
def server(request):
    """Those that lock rows."""
    return emptied(request.getfixturevalue(request.param))


@contextmanager
def held(store, *rows):
    """Hold the rows of executions from another connection, as a driver in a checkpoint does."""
    ids = [execution.id for execution in rows]
    of_rows = sa.select(tables.executions.c.id).where(tables.executions.c.id.in_(ids))
    with store.engine.connect() as connection:
        connection.execute(locked(of_rows)).all()
        yield
        connection.rollback()


def analyze(store):
    """Let the server know how many rows there are, as it would notice by and by."""
    table = "TABLE" if store.engine.dialect.name == "mysql" else ""
    with store.engine.begin() as connection:
        connection.exec_driver_sql(f"ANALYZE {table} workflow_executions")


def spoil(store, execution):
    """Write what no version of this package can read."""
    broken = {"frames": json.dumps({"at": 7, "frame": {"kind": "unheard of"}})}
    with store.engine.begin() as connection:
        writing.update_row(connection, tables.executions, broken, id=execution.id)


# Rows that others hold --------------------------------------------------------------------------


def test_a_claim_of_pending_ones_passes_over_those_that_others_hold(server):
    first, second, third = (server.create(make_execution(age)) for age in range(3))

    with held(server, first):
        (claimed,) = server.claim_pending("worker", MINUTE, 1, workflow_ids=ORDERS)

    rest = server.claim_pending("worker", MINUTE, 5, workflow_ids=ORDERS)
    assert claimed.id == second.id
    assert [execution.id for execution in rest] == [first.id, third.id]


@pytest.mark.parametrize("queues", [None, ["slow"], ["slow", None]], ids=str)
def test_a_claim_of_pending_ones_holds_no_more_than_it_takes(server, queues):
    executions = [server.create(make_execution(age, queue="slow")) for age in range(50)]
    analyze(server)

    with server.atomic():
        mine = server.claim_pending("mine", MINUTE, 3, workflow_ids=ORDERS, queues=queues)
        connection = server.connection
        free = sa.select(tables.executions.c.id).where(tables.executions.c.status == "pending")
        with server.engine.connect() as other:
            theirs = other.scalars(locked(free, passing_over=connection.dialect)).all()
            other.rollback()

    assert [execution.id for execution in mine] == [one.id for one in executions[:3]]
    assert len(theirs) >= 40


def test_what_others_hold_is_woken_at_the_next_call(server):
    one = running(server, lease_expires_at=at(1))
    other = halted(server, {"wake_at": at(1)})

    with held(server, one):
        first = server.wake_due(at(2))
    second = server.wake_due(at(2))

    assert [execution.id for execution in first] == [other.id]
    assert [execution.id for execution in second] == [one.id]


def test_a_foreign_key_of_a_users_table_does_not_wait_for_a_decision(postgres):
    store = emptied(postgres)
    execution = store.create(make_execution())
    with store.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE invoices (execution VARCHAR(36) REFERENCES workflow_executions)"
        )

    def decide(stored, waits):
        with store.engine.connect() as other:
            other.exec_driver_sql("SET LOCAL lock_timeout = '5s'")
            other.execute(sa.text("INSERT INTO invoices VALUES (:id)"), {"id": stored.id})
            other.rollback()
        return Change(execution=replace(stored, priority=1))

    try:
        assert store.transition(execution.id, decide).priority == 1
    finally:
        with store.engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE invoices")


def server_of(dialect, version, *, is_mariadb=False):
    dialect.server_version_info = version
    dialect.is_mariadb = is_mariadb
    return dialect


@pytest.mark.parametrize(
    ("dialect", "can"),
    [
        pytest.param(sqlite.dialect(), False, id="sqlite"),
        pytest.param(postgresql.dialect(), True, id="postgresql"),
        pytest.param(server_of(mysql.dialect(), (8, 0, 1)), True, id="mysql 8"),
        pytest.param(server_of(mysql.dialect(), (5, 7, 44)), False, id="mysql 5.7"),
        pytest.param(
            server_of(mysql.dialect(), (10, 6, 0), is_mariadb=True), True, id="mariadb 10.6"
        ),
        pytest.param(
            server_of(mysql.dialect(), (10, 5, 29), is_mariadb=True), False, id="mariadb 10.5"
        ),
        pytest.param(mysql.dialect(), False, id="never connected"),
    ],
)
def test_rows_are_passed_over_where_the_server_can(dialect, can):
    query = locked(sa.select(tables.executions.c.id), passing_over=dialect)

    assert can_pass_over(dialect) is can
    assert ("SKIP LOCKED" in str(query.compile(dialect=dialect))) is can


# What cannot be read ----------------------------------------------------------------------------


def test_what_cannot_be_read_keeps_no_other_from_being_claimed(store, caplog):
    broken, whole = (store.create(make_execution(age)) for age in range(2))
    spoil(store, broken)

    claimed = store.claim_pending("worker", MINUTE, 5, workflow_ids=ORDERS)

    assert [execution.id for execution in claimed] == [whole.id]
    assert [record.execution_id for record in caplog.records] == [broken.id]
    assert store.execution_ids(status=ExecutionStatus.RUNNING) == [whole.id, broken.id]


def test_what_cannot_be_read_keeps_no_other_from_being_woken(store, caplog):
    broken, whole = (halted(store, {"wake_at": at(age)}) for age in (1, 2))
    spoil(store, broken)

    woken = store.wake_due(at(3))

    assert [execution.id for execution in woken] == [whole.id]
    (logged,) = caplog.records
    assert (logged.levelno, logged.execution_id) == (logging.ERROR, broken.id)
    assert store.execution_ids(status=ExecutionStatus.HALTED) == [broken.id]


# Between two statements -------------------------------------------------------------------------


def test_a_child_that_somebody_creates_in_between_is_returned(store, monkeypatch):
    parent = store.create(make_execution())
    children = [make_child(parent, item) for item in range(3)]
    insert = writing.insert_new_rows

    def insert_late(connection, table, values):
        monkeypatch.undo()
        insert(connection, table, [values[1] | {"priority": 9}])
        return insert(connection, table, values)

    monkeypatch.setattr("django_workflows.stores.sqlalchemy.children.insert_new_rows", insert_late)
    created = store.create_children(parent.id, parent.fence, children)

    assert created == [children[0], replace(children[1], priority=9), children[2]]
    assert [store.load(child.id) for child in children] == created


def test_more_children_than_a_statement_takes_values(store):
    parent = store.create(make_execution())
    children = [make_child(parent, item, status=ExecutionStatus.HALTED) for item in range(1500)]

    created = store.create_children(parent.id, parent.fence, children)
    again = store.create_children(parent.id, parent.fence, children)
    released = store.release_held(parent.id, "each", 1200)
    claimed = store.claim_pending("worker", MINUTE, 1100, workflow_ids=ORDERS)

    assert created == again == children
    assert [child.item for child in released] == list(range(1200))
    assert len(claimed) == 1100
    assert store.delete(parent.id) is True
    assert store.find() == []
