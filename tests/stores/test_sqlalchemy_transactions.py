import os
import threading

import pytest

from django_workflows.core.decisions import Change
from django_workflows.core.waits import Answer
from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from tests.stores.contract.records import halted, make_entry, make_execution

sa = pytest.importorskip("sqlalchemy")

from django_workflows.stores.sqlalchemy import SqlAlchemyStore, tables, writing  # noqa: E402
from tests.stores.databases import cut, emptied, number  # noqa: E402


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
    # Any table of the same database will do.
    order = {"workflow_id": "x", "version": "1", "graph": "{}"}

    def step():
        with store.atomic():
            store.connection.execute(tables.graphs.insert(), order)
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
    insert = writing.insert_new_rows

    def insert_late(connection, table, values):
        monkeypatch.undo()
        insert(connection, table, [one | {"priority": 9} for one in values])
        return insert(connection, table, values)

    monkeypatch.setattr(writing, "insert_new_rows", insert_late)
    store.save(execution)

    assert store.load(execution.id) == execution


def test_an_execution_that_is_deleted_while_another_takes_its_place_is_created(store, monkeypatch):
    execution = make_execution()
    # What stood in the way is gone when it is looked for, three times in a row.
    monkeypatch.setattr(writing, "insert_new_rows", lambda *arguments: False)

    assert store.create(execution, [make_entry(execution)]) == execution
    assert store.load(execution.id) == execution


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_opens_connections_of_its_own(store):
    execution = store.create(make_execution())

    child = os.fork()
    if not child:
        failed = True
        try:
            failed = store.load(execution.id) != execution
        finally:
            os._exit(failed)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert store.load(execution.id) == execution
