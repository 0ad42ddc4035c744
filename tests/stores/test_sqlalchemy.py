import os
import threading
from dataclasses import fields

import pytest

from django_workflows.core.decisions import Change
from django_workflows.core.execution import Entry, Execution
from django_workflows.core.waits import Answer, InboxEvent, Wait
from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from tests import services
from tests.stores.contract import StoreContract
from tests.stores.contract.records import halted, make_entry, make_execution, make_wait

sa = pytest.importorskip("sqlalchemy")

from django_workflows.stores import _sqlalchemy_tables as tables  # noqa: E402
from django_workflows.stores import sqlalchemy as module  # noqa: E402
from django_workflows.stores.sqlalchemy import SqlAlchemyStore, metadata  # noqa: E402

DATABASE = f"workflows_{services.RUN}_sqlalchemy"


def server_url(backend, driver, login=""):
    pytest.importorskip(driver.partition("+")[2].replace("mysqldb", "MySQLdb"))
    service = services.require(backend)
    return sa.make_url(f"{driver}://").set(
        host=service.host,
        port=service.port,
        username=service.user,
        password=service.password or None,
        database=login or None,
    )


def fresh_database(url):
    """Create an empty database for the tests, give its URL, and drop it in the end."""
    admin = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {DATABASE}")
        connection.exec_driver_sql(f"CREATE DATABASE {DATABASE}")
    yield url.set(database=DATABASE)
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {DATABASE}")
    admin.dispose()


def open_store(url):
    store = SqlAlchemyStore(
        url=url, **({} if url.get_backend_name() == "sqlite" else {"pool_size": 10})
    )
    store.create_tables()
    yield store
    store.engine.dispose()


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory):
    path = tmp_path_factory.mktemp("sqlalchemy") / "store.sqlite3"
    yield from open_store(sa.make_url(f"sqlite:///{path}"))


@pytest.fixture(scope="module")
def postgres_url():
    yield from fresh_database(server_url("postgres", "postgresql+psycopg", login="postgres"))


@pytest.fixture(scope="module")
def postgres(postgres_url):
    yield from open_store(postgres_url)


@pytest.fixture(scope="module")
def mariadb_url():
    yield from fresh_database(server_url("mariadb", "mysql+mysqldb"))


@pytest.fixture(scope="module")
def mariadb(mariadb_url):
    yield from open_store(mariadb_url.update_query_dict({"charset": "utf8mb4"}))


def emptied(store):
    with store.engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
    return store


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
    ("table", "kind"),
    [
        (tables.executions, Execution),
        (tables.entries, Entry),
        (tables.waits, Wait),
        (tables.events, InboxEvent),
    ],
    ids=str,
)
def test_a_table_has_a_column_for_every_field(table, kind):
    columns = {column.name for column in table.columns}

    assert columns - {"number", "topic"} == {field.name for field in fields(kind)}


def test_tables_are_created_once(sqlite):
    sqlite.create_tables()

    assert set(sa.inspect(sqlite.engine).get_table_names()) == set(metadata.tables)


def test_sqlite_is_set_to_write_ahead(sqlite):
    with sqlite.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"


@pytest.fixture(params=["sqlite", "postgres", "mariadb"])
def store(request):
    """Each database in turn, for what is SQLAlchemy's own."""
    return emptied(request.getfixturevalue(request.param))


def test_an_engine_may_be_given(store):
    theirs = sa.create_engine(store.engine.url)
    other = SqlAlchemyStore(engine=theirs)
    execution = other.create(make_execution(idempotency_key="7"))

    again = [other.create(make_execution(idempotency_key="7")), store.load(execution.id)]

    assert again == [execution, execution]
    theirs.dispose()


def test_what_a_step_writes_through_the_connection_is_undone_with_its_checkpoint(store):
    execution = store.create(make_execution())
    orders = sa.table("workflow_graphs", *map(sa.column, ["workflow_id", "version", "graph"]))
    order = {"workflow_id": b"x", "version": b"1", "graph": "{}"}
    if store.engine.dialect.name != "mysql":
        order |= {"workflow_id": "x", "version": "1"}

    def step():
        with store.atomic():
            store.connection.execute(sa.insert(orders), order)
            store.checkpoint(execution, [make_entry(execution)], fence=0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step()

    assert store.graph("x", "1") is None
    assert store.entries(execution.id) == []


def test_an_error_of_the_step_itself_is_passed_on_as_it_is(store):
    def step():
        with store.atomic() as connection:
            connection.exec_driver_sql("SELECT * FROM nowhere")

    with pytest.raises((sa.exc.ProgrammingError, sa.exc.OperationalError), match="nowhere"):
        step()


def number(connection):
    """Return what the server calls the connection."""
    is_postgres = connection.dialect.name == "postgresql"
    name = "pg_backend_pid" if is_postgres else "connection_id"
    return connection.exec_driver_sql(f"SELECT {name}()").scalar()


def cut(engine, number):
    """Close a connection from the server's side."""
    is_postgres = engine.dialect.name == "postgresql"
    kill = f"SELECT pg_terminate_backend({number})" if is_postgres else f"KILL {number}"
    admin = sa.create_engine(engine.url)
    with admin.connect() as connection:
        connection.exec_driver_sql(kill)
    admin.dispose()


@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_a_connection_that_breaks_in_atomic_is_unavailable(request, name):
    store = emptied(request.getfixturevalue(name))

    def step():
        with store.atomic() as connection:
            store.create(make_execution())
            cut(store.engine, number(connection))
            store.find()

    with pytest.raises(StoreUnavailable):
        step()

    assert store.find() == []


@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_a_connection_that_broke_while_nobody_used_it_is_replaced(request, name):
    store = emptied(request.getfixturevalue(name))
    with store.engine.connect() as connection:
        idle = number(connection)

    cut(store.engine, idle)

    assert store.find() == []


def test_there_is_no_connection_outside_of_atomic(sqlite):
    with pytest.raises(ConfigurationError, match="atomic"):
        sqlite.connection  # noqa: B018


def test_nul_and_backslash_in_text_are_kept(store):
    text = "ValueError: embedded \x00 and \\0 and \\ and \\\\0\n"
    execution = store.create(make_execution(error=text, idempotency_key="a\x00b"))
    store.record(make_entry(execution, traceback=text))

    assert store.load(execution.id).error == text
    assert store.entries(execution.id)[0].traceback == text
    assert store.create(make_execution(idempotency_key="a\x00b")) == execution


@pytest.mark.parametrize("name", ["postgres", "mariadb"])
def test_a_deadlock_is_tried_again(request, name):
    store = emptied(request.getfixturevalue(name))
    one, other = store.create(make_execution()), store.create(make_execution())
    barrier = threading.Barrier(2, timeout=30)
    attempts = []

    def work(mine, theirs):
        def decide(stored, waits):
            attempts.append(mine.id)
            if attempts.count(mine.id) == 1:
                barrier.wait()
            store.record(make_entry(theirs))
            return Change(execution=stored)

        store.transition(mine.id, decide)

    threads = [threading.Thread(target=work, args=pair) for pair in [(one, other), (other, one)]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(attempts) == 3
    assert len(store.entries(one.id)) == len(store.entries(other.id)) == 1


def test_a_callback_given_in_a_decision_is_called_after_it(store):
    execution = halted(store, {})
    seen = []

    def permit(stored, wait):
        store.on_commit(lambda: seen.append(store.load(execution.id).status))

    store.settle(execution.id, None, Answer(), permit=permit)

    assert seen == ["pending"]


def test_an_error_that_is_not_the_databases_state_is_passed_on(store):
    first = store.save(make_execution(idempotency_key="7"))

    with pytest.raises(sa.exc.IntegrityError):
        store.save(make_execution(idempotency_key="7"))

    assert store.execution_ids() == [first.id]


def test_a_row_that_somebody_inserts_in_between_is_updated(store, monkeypatch):
    execution = make_execution()
    insert = module.writing.insert_new_row

    def insert_late(connection, table, values):
        monkeypatch.undo()
        insert(connection, table, values | {"priority": 9})
        return insert(connection, table, values)

    monkeypatch.setattr(module.writing, "insert_new_row", insert_late)
    store.save(execution)

    assert store.load(execution.id) == execution


def test_a_wait_that_was_given_an_event_in_between_takes_no_other(store, monkeypatch):
    wait = make_wait(make_execution(), key="paid:7")
    for _ in range(2):
        store.add_event(InboxEvent(name="paid", key="7"))
    given = store.reserve_event(wait)
    look = module.writing.records

    def look_too_early(*arguments):
        monkeypatch.undo()
        look(*arguments)
        return []

    monkeypatch.setattr(module.writing, "records", look_too_early)

    assert store.reserve_event(wait) == given
    assert store.reserve_event(make_wait(make_execution(), key="paid:7")) is not None


def test_an_execution_that_is_deleted_while_another_takes_its_place_is_created(store, monkeypatch):
    execution = make_execution()
    # What stood in the way is gone when it is looked for, three times in a row.
    monkeypatch.setattr(module.writing, "insert_new_row", lambda *arguments: False)

    assert store.create(execution, [make_entry(execution)]) == execution
    assert store.load(execution.id) == execution


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_opens_connections_of_its_own(store):
    execution = store.create(make_execution())

    child = os.fork()
    if not child:
        loaded = store.load(execution.id)
        os._exit(0 if loaded == execution else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.load(execution.id) == execution


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
