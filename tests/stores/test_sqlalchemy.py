from dataclasses import fields
from datetime import timedelta

import pytest

from django_workflows.core import clock
from django_workflows.core.chores import Chore
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.presence import Presence
from django_workflows.core.waits import InboxEvent, Wait
from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from tests.stores.contract import StoreContract
from tests.stores.contract.records import make_execution

sa = pytest.importorskip("sqlalchemy")

from django_workflows.stores.sqlalchemy import (  # noqa: E402
    SqlAlchemyStore,
    metadata,
    tables,
)
from tests.stores.databases import emptied  # noqa: E402


class TestOnSQLite(StoreContract):
    @pytest.fixture
    def store(self, sqlite):
        return emptied(sqlite)

    def test_one_thread_writes_at_a_time(self, store):
        assert store.concurrent_writers is False


class TestOnPostgreSQL(StoreContract):
    @pytest.fixture
    def store(self, postgres):
        return emptied(postgres)

    def test_threads_write_at_once(self, store):
        assert store.concurrent_writers is True


class TestOnMariaDB(StoreContract):
    @pytest.fixture
    def store(self, mariadb):
        return emptied(mariadb)


@pytest.mark.parametrize(
    ("table", "kind", "beside"),
    [
        (tables.executions, Execution, set()),
        (tables.entries, Entry, {"number"}),
        (tables.waits, Wait, {"fence"}),
        (tables.events, InboxEvent, {"topic"}),
        (tables.chores, Chore, set()),
        (tables.presences, Presence, set()),
    ],
    ids=str,
)
def test_a_table_has_a_column_for_every_field(table, kind, beside):
    columns = {column.name for column in table.columns}

    assert columns == {field.name for field in fields(kind)} | beside


def test_tables_are_created_once(sqlite):
    sqlite.create_tables()

    assert set(sa.inspect(sqlite.engine).get_table_names()) == set(metadata.tables)


def test_sqlite_is_set_to_write_ahead(sqlite):
    with sqlite.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


# The time ---------------------------------------------------------------------------------------


@pytest.fixture
def an_hour_ahead():
    """Let this process's clock be wrong."""
    clock.travel(timedelta(hours=1))
    yield
    clock.reset()


@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_the_time_is_the_servers(request, name, an_hour_ahead):
    store = request.getfixturevalue(name)

    ahead = clock.now() - store.now()

    assert timedelta(minutes=59) < ahead < timedelta(minutes=61)


@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_the_time_goes_on_within_a_transaction(request, name):
    store = request.getfixturevalue(name)

    with store.atomic():
        moments = [store.now() for _ in range(10)]

    assert sorted(set(moments)) == moments


def test_on_sqlite_the_time_is_that_of_this_process(sqlite, an_hour_ahead):
    before = clock.now()

    assert before <= sqlite.now() <= clock.now()


# Refusals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql+psycopg://127.0.0.1:1/none", id="postgres"),
        pytest.param("mysql+mysqldb://127.0.0.1:1/none", id="mariadb"),
        pytest.param("sqlite:////no/such/folder/store.sqlite3", id="sqlite"),
    ],
)
@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda store, execution: store.load(execution.id), id="read"),
        pytest.param(lambda store, execution: store.create(execution), id="write"),
        pytest.param(lambda store, execution: store.atomic().__enter__(), id="atomic"),
    ],
)
def test_a_database_that_does_not_answer_is_unavailable(url, ask):
    pytest.importorskip("MySQLdb" if url.startswith("mysql") else "sqlite3")
    store = SqlAlchemyStore(url=url)

    with pytest.raises(StoreUnavailable, match="SqlAlchemyStore does not answer") as caught:
        ask(store, make_execution())

    assert isinstance(caught.value.__cause__, sa.exc.OperationalError)


def test_a_pool_without_a_free_connection_is_unavailable(tmp_path):
    store = SqlAlchemyStore(
        url=f"sqlite:///{tmp_path}/store.sqlite3", pool_size=1, max_overflow=0, pool_timeout=0.01
    )

    with store.engine.connect(), pytest.raises(StoreUnavailable, match="QueuePool limit"):
        store.find()

    store.engine.dispose()


def test_a_writer_that_keeps_sqlite_too_long_makes_it_unavailable(tmp_path):
    url = f"sqlite:///{tmp_path}/store.sqlite3"
    store = SqlAlchemyStore(url=url, connect_args={"timeout": 0.01})
    store.create_tables()

    with store.engine.connect() as other:
        other.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="locked"):
            store.create(make_execution())
        assert store.find() == []

    store.engine.dispose()


@pytest.mark.parametrize("name", ["sqlite", "postgres", "mariadb"])
def test_a_database_without_the_tables_is_a_configuration_error(request, name, tmp_path):
    if name == "sqlite":
        url = sa.make_url(f"sqlite:///{tmp_path}/empty.sqlite3")
    else:
        url = request.getfixturevalue(f"{name}_url")
        metadata.drop_all(request.getfixturevalue(name).engine)
    store = SqlAlchemyStore(url=url)

    with pytest.raises(ConfigurationError, match="create_tables"):
        store.find()

    store.create_tables()
    assert store.find() == []
    store.engine.dispose()


@pytest.mark.parametrize("name", ["sqlite", "postgres", "mariadb"])
@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda store, execution: store.load(execution.id), id="read"),
        pytest.param(lambda store, execution: store.create(execution), id="write"),
    ],
)
def test_tables_of_an_earlier_version_are_a_configuration_error(request, name, tmp_path, ask):
    if name == "sqlite":
        store = SqlAlchemyStore(url=f"sqlite:///{tmp_path}/old.sqlite3")
    else:
        store = SqlAlchemyStore(url=request.getfixturevalue(f"{name}_url"))
    store.create_tables()
    with store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE workflow_executions DROP COLUMN parent_step")

    with pytest.raises(ConfigurationError, match=r"(?s)parent_step.*migrate to its metadata"):
        ask(store, make_execution())

    metadata.drop_all(store.engine)
    store.create_tables()
    store.engine.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_sqlite_in_memory_is_refused(url):
    with pytest.raises(ConfigurationError, match="MemoryStore"):
        SqlAlchemyStore(url=url)


def test_neither_url_nor_engine_is_refused():
    with pytest.raises(ConfigurationError, match="url or an engine"):
        SqlAlchemyStore()


def test_both_url_and_engine_are_refused(sqlite):
    with pytest.raises(ConfigurationError, match="url or an engine"):
        SqlAlchemyStore(url="sqlite:///file", engine=sqlite.engine)
