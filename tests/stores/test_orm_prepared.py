"""Checkpoints are prepared on PostgreSQL, and only where nothing stands between."""

from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from django_workflows.models import WorkflowExecution
from django_workflows.stores.orm import OrmStore, prepared
from tests.stores.contract.records import MINUTE, make_entry, make_execution

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's own"),
]


@pytest.fixture
def fresh():
    """A connection that has prepared nothing yet."""
    connection.close()
    yield
    connection.close()


def checkpoints(count=3):
    """Write ``count`` checkpoints of one shape."""
    store = OrmStore()
    claimed = store.claim(store.create(make_execution()).id, "worker", MINUTE)
    for number in range(count):
        store.checkpoint(claimed, [make_entry(claimed, str(number))], claimed.fence)
    return store.entries(claimed.id)


def names():
    """Return how many checkpoints the connection has prepared."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements"
            " WHERE statement LIKE 'WITH guard AS (UPDATE%'"
        )
        return cursor.fetchone()[0]


def test_checkpoint_is_prepared_when_it_comes_again(fresh):
    checkpoints(1)
    assert names() == 0

    checkpoints()

    assert names() == 1


def test_statements_of_others_on_the_connection_are_not(fresh):
    checkpoints()

    for _ in range(3):
        WorkflowExecution.objects.count()

    with connection.cursor() as cursor:
        cursor.execute("SELECT statement FROM pg_prepared_statements")
        words = {statement.split()[0] for (statement,) in cursor.fetchall()}
    assert words <= {"WITH", "UPDATE"}  # checkpoints and claims
    assert connection.connection.prepare_threshold is None


@pytest.mark.parametrize("flag", [False, True])
def test_setting_for_poolers_is_heeded(fresh, monkeypatch, flag):
    monkeypatch.setitem(connection.settings_dict, "DISABLE_SERVER_SIDE_CURSORS", flag)

    assert len(checkpoints()) == 3

    assert names() == (0 if flag else 1)


def test_another_driver_prepares_nothing():
    assert not prepared._may_prepare(connection, object())


def test_pooler_greets_with_a_process_of_its_own():
    # PgBouncer 1.18 gave -711131880 for 22858.
    assert prepared._is_direct(_raw(greeting=22858, answering=22858))
    assert not prepared._is_direct(_raw(greeting=-711131880, answering=22858))


def _raw(greeting, answering):
    cursor = SimpleNamespace(execute=lambda sql: None, fetchone=lambda: (answering,))
    return SimpleNamespace(cursor=lambda: cursor, info=SimpleNamespace(backend_pid=greeting))


def test_nothing_is_prepared_behind_a_pooler(fresh, monkeypatch):
    monkeypatch.setattr(prepared, "_is_direct", lambda raw: False)

    assert len(checkpoints()) == 3

    assert names() == 0


def test_each_connection_is_asked_once(fresh, monkeypatch):
    asked = []
    real = prepared._is_direct
    monkeypatch.setattr(prepared, "_is_direct", lambda raw: asked.append(raw) or real(raw))

    checkpoints()
    connection.close()
    checkpoints()

    assert len(asked) == 2


def test_logged_queries_have_their_values(fresh):
    with CaptureQueriesContext(connection) as queries:
        checkpoints()

    assert sum("'2'" in query["sql"] for query in queries) == 1
    assert names() == 0


def test_rollback_takes_no_prepared_statement_for_granted(fresh):
    checkpoints()
    with transaction.atomic():
        checkpoints()
        transaction.set_rollback(True)

    assert len(checkpoints()) == 3


def test_migration_beside_a_worker_does_it_no_harm(fresh):
    checkpoints()
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("ALTER TABLE django_workflows_workflowentry ADD later integer NULL")
        assert len(checkpoints()) == 3
    finally:
        with other.cursor() as cursor:
            cursor.execute("ALTER TABLE django_workflows_workflowentry DROP later")
        other.close()
