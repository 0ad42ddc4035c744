import subprocess
import sys
from dataclasses import replace

import pytest
from django.contrib.auth.models import Group
from django.db import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)

from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.presence import Presence
from django_workflows.core.store import Store
from django_workflows.core.waits import Answer, InboxEvent
from django_workflows.exceptions import (
    ConfigurationError,
    EventTaken,
    StaleExecution,
    StoreUnavailable,
)
from django_workflows.models import WorkflowExecution
from django_workflows.stores.orm import OrmStore
from tests import settings
from tests.stores.contract import StoreContract
from tests.stores.contract.records import (
    ENDED,
    MINUTE,
    UNKNOWN_ID,
    at,
    halted,
    make_entry,
    make_execution,
    make_wait,
)
from tests.stores.contract.threads import Threads
from tests.values import exact


@pytest.fixture
def store():
    return OrmStore()


def claimed(store):
    execution = store.create(make_execution())
    return store.claim(execution.id, "worker", MINUTE)


class OwnConnections(Threads):
    def leave_thread(self):
        connections.close_all()


def elsewhere(work):
    """Return what ``work()`` returns in another thread, and so on another connection."""
    (outcome,) = OwnConnections().together(lambda number: work(), 1)
    return outcome


@pytest.mark.django_db(transaction=True)
class TestOrmStore(OwnConnections, StoreContract):
    pass


# Aliases ----------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
class TestOtherDatabase:
    @pytest.fixture
    def other(self):
        return OrmStore(using="other")

    def test_it_is_the_only_one_that_is_written_to(self, store, other):
        execution = claimed(other)
        after = replace(execution, ctx={"n": 1}, status=ExecutionStatus.HALTED)
        other.checkpoint(after, [make_entry(after)], after.fence, [make_wait(after)])
        other.settle(after.id, None, Answer())
        other.add_event(InboxEvent(name="paid"))
        other.remember_graph("orders", "1", {})

        assert store.find() == []
        assert store.find_waits() == []
        assert store.graph("orders", "1") is None
        assert len(other.entries(execution.id)) == 2

    def test_a_callback_waits_for_the_commit_of_its_own_database(self, other):
        called = []

        with transaction.atomic(using="other"):
            with transaction.atomic(using="default"):
                other.on_commit(lambda: called.append(1))
            before = list(called)

        assert (before, called) == ([], [1])

    def test_a_transaction_on_another_database_is_no_hindrance(self, store, other):
        with transaction.atomic(using="default"):
            other.refuse_open_transaction()
            with pytest.raises(ConfigurationError, match="'default'"):
                store.refuse_open_transaction()


def test_an_unknown_alias_is_refused_with_those_that_are_known():
    with pytest.raises(ConfigurationError, match=r"no 'nowhere', only 'default', 'other'"):
        OrmStore(using="nowhere")


def test_a_store_may_be_built_before_the_models_are_loaded():
    code = "from django_workflows.stores.orm import OrmStore; print(OrmStore().using)"

    built = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert built.stdout == "default\n"


def test_two_threads_may_write_at_once_unless_it_is_sqlite(store):
    assert store.supports_atomic
    assert store.concurrent_writers is (settings.TEST_DB != "sqlite")


# Transactions -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_stale_checkpoint_undoes_what_the_step_wrote(store):
    execution = store.create(make_execution())
    late = store.claim(execution.id, "late", ENDED)
    store.claim(execution.id, "new", MINUTE)

    def step():
        with store.atomic():
            Group.objects.create(name="written by the step")
            store.checkpoint(late, [make_entry(late)], late.fence)

    with pytest.raises(StaleExecution):
        step()

    assert not Group.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_checkpoint_commits_with_what_the_step_wrote(store):
    execution = claimed(store)

    with store.atomic():
        Group.objects.create(name="written by the step")
        store.checkpoint(execution, [make_entry(execution)], execution.fence)

    assert Group.objects.exists()
    assert len(store.entries(execution.id)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_known_key_leaves_the_users_transaction_usable(store):
    first = store.create(make_execution(idempotency_key="7"))

    with transaction.atomic():
        Group.objects.create(name="before")
        created = store.create(make_execution(idempotency_key="7"), [make_entry(first)])
        Group.objects.create(name="after")

    assert created == first
    assert Group.objects.count() == 2
    assert store.entries(first.id) == []


@pytest.mark.django_db
def test_a_test_case_is_no_open_transaction(store):
    store.refuse_open_transaction()

    with transaction.atomic(), pytest.raises(ConfigurationError, match="would be undone"):
        store.refuse_open_transaction()


@pytest.mark.django_db(transaction=True)
def test_what_the_body_of_atomic_raises_is_passed_on(store):
    with pytest.raises(OperationalError, match="the step's own"), store.atomic():
        raise OperationalError("the step's own")


@pytest.mark.django_db(transaction=True)
def test_an_error_that_is_no_taken_key_is_passed_on(store):
    with pytest.raises(IntegrityError):
        store.create(make_execution(parent=UNKNOWN_ID))

    assert store.find() == []


REPEATABLE_READ = {
    "postgres": ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"],
    "mariadb": ["COMMIT", "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "BEGIN"],
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(settings.TEST_DB not in REPEATABLE_READ, reason="has one isolation level")
def test_a_key_that_the_users_transaction_cannot_see_is_told(store):
    with transaction.atomic():
        with connection.cursor() as cursor:
            for sql in REPEATABLE_READ[settings.TEST_DB]:
                cursor.execute(sql)
        assert store.find() == []
        elsewhere(lambda: store.create(make_execution(idempotency_key="7")))

        with pytest.raises(StoreUnavailable, match=r"cannot be seen|serialize"):
            store.create(make_execution(idempotency_key="7"))

        transaction.set_rollback(True)


class TestDeferredTransactions(OwnConnections):
    """SQLite as Django sets it up: a transaction begins as a reader."""

    @pytest.fixture(autouse=True)
    def deferred(self):
        options = connections.settings["default"].get("OPTIONS", {})
        mode = options.pop("transaction_mode", None)
        yield
        if mode:
            options["transaction_mode"] = mode

    @pytest.mark.django_db(transaction=True)
    def test_transitions_at_once_wait_for_one_another(self, store):
        execution = store.create(make_execution(ctx={"n": 0}))

        def increment(stored, waits):
            return Change(execution=replace(stored, ctx={"n": stored.ctx["n"] + 1}))

        def work(number):
            for _ in range(5):
                store.transition(execution.id, increment)

        assert self.together(work) == [None] * 8
        assert store.load(execution.id).ctx == {"n": 40}


# Values -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_equal_value_of_another_type_is_a_difference(store):
    execution = store.create(make_execution(ctx={"n": 1}))

    store.checkpoint(replace(execution, ctx={"n": True}), [], 0, previous=execution)

    assert exact(store.load(execution.id).ctx) == exact({"n": True})


@pytest.mark.django_db
def test_text_that_no_database_keeps_fails_no_checkpoint(store):
    execution = store.create(make_execution())
    after = replace(execution, error="ValueError: \x00\ud800")
    entry = make_entry(execution, traceback="\x00")

    store.checkpoint(after, [entry], 0, [make_wait(execution, prompt="\x00", key="paid:\x00")])

    assert store.load(execution.id).error == "ValueError: \\x00\\ud800"
    assert store.entries(execution.id)[0].traceback == "\\x00"
    assert [wait.prompt for wait in store.find_waits(key="paid:\x00")] == ["\\x00"]


@pytest.mark.django_db
def test_more_entries_than_one_statement_takes_keep_their_order(store):
    execution = store.create(make_execution())
    steps = [str(number) for number in range(250)]

    store.checkpoint(execution, [make_entry(execution, step) for step in steps], 0)

    assert [entry.step_id for entry in store.entries(execution.id)] == steps


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "key"), [("a", "b:c"), ("a:b", "c"), ("a:b:c", ""), ("", "a:b")])
def test_names_and_keys_of_events_may_have_colons(store, name, key):
    event = InboxEvent(name=name, key=key)
    store.add_event(event)

    assert store.next_event(event.topic) == event


def has_two(store):
    """Return an execution that waits, and two decisions that give its wait an event each."""
    first, second = InboxEvent(name="paid", sent_at=at(1)), InboxEvent(name="paid", sent_at=at(2))
    store.add_event(first)
    store.add_event(second)
    execution = halted(store, {"key": "paid:"})

    def giving(event):
        def decide(stored, waits):
            given = replace(event, taken_by=waits[0].id)
            return Change(execution=replace(stored, queue=event.id), event=given)

        return decide

    return execution, giving(first), giving(second)


@pytest.mark.django_db(transaction=True)
def test_a_wait_that_has_an_event_is_given_no_other(store):
    execution, first, second = has_two(store)
    before = store.transition(execution.id, first)

    with pytest.raises(EventTaken):
        store.transition(execution.id, second)

    assert store.load(execution.id) == before
    assert store.next_event("paid:").sent_at == at(2)


@pytest.mark.django_db(transaction=True)
def test_an_event_that_is_taken_leaves_the_users_transaction_usable(store):
    execution, first, second = has_two(store)

    with transaction.atomic():
        Group.objects.create(name="before")
        before = store.transition(execution.id, first)
        for _ in range(2):
            with pytest.raises(EventTaken):
                store.transition(execution.id, second)
        Group.objects.create(name="after")

    assert store.load(execution.id) == before
    assert Group.objects.count() == 2


@pytest.mark.django_db
def test_a_running_one_without_a_lease_is_abandoned(store):
    execution = store.create(make_execution(status=ExecutionStatus.RUNNING))

    (due,) = store.due(at(0))
    claimed = store.claim(execution.id, "worker", MINUTE)

    assert due.execution_id == claimed.id


# A database that is down ------------------------------------------------------------------------


@pytest.fixture
def down(django_db_blocker, tmp_path):
    """Return the alias of a database that nothing answers for."""
    gone = {"NAME": str(tmp_path / "no folder" / "db")} if settings.TEST_DB == "sqlite" else {}
    changes = {"HOST": "127.0.0.1", "PORT": 1} | gone
    connections.settings["down"] = connections.settings["default"] | changes
    with django_db_blocker.unblock():
        yield "down"
    del connections["down"]
    del connections.settings["down"]


CALLS = {
    "create": lambda store, one: store.create(one, [make_entry(one)]),
    "save": lambda store, one: store.save(one),
    "load": lambda store, one: store.load(one.id),
    "find": lambda store, one: store.find(),
    "execution_ids": lambda store, one: store.execution_ids(),
    "delete": lambda store, one: store.delete(one.id),
    "record": lambda store, one: store.record(make_entry(one)),
    "entries": lambda store, one: store.entries(one.id),
    "claim": lambda store, one: store.claim(one.id, "worker", MINUTE),
    "renew": lambda store, one: store.renew(one.id, 1, MINUTE),
    "checkpoint": lambda store, one: store.checkpoint(one, [make_entry(one)], 1),
    "transition": lambda store, one: store.transition(one.id, lambda *_: Change(execution=one)),
    "waits": lambda store, one: store.waits(one.id),
    "find_waits": lambda store, one: store.find_waits(),
    "due": lambda store, one: store.due(at(0)),
    "wake_due": lambda store, one: store.wake_due(at(0)),
    "pending": lambda store, one: store.pending(at(0)),
    "claim_pending": lambda store, one: store.claim_pending(
        "worker", MINUTE, 1, workflow_ids=["orders"]
    ),
    "create_children": lambda store, one: store.create_children(one.id, 0, [one]),
    "children_state": lambda store, one: store.children_state(one.id, "each"),
    "tally": lambda store, one: store.tally(one.id, "each"),
    "children": lambda store, one: store.children(one.id, "each"),
    "supersede": lambda store, one: store.supersede(one.id, "each"),
    "release_held": lambda store, one: store.release_held(one.id, "each", 1),
    "add_event": lambda store, one: store.add_event(InboxEvent(name="paid")),
    "next_event": lambda store, one: store.next_event("paid:7"),
    "ended": lambda store, one: store.ended(at(0)),
    "purge": lambda store, one: store.purge([one.id], at(0)),
    "chores": lambda store, one: store.chores(at(0)),
    "finish_chore": lambda store, one: store.finish_chore(one.id),
    "finish_chores": lambda store, one: store.finish_chores([one.id]),
    "with_children": lambda store, one: store.with_children([one.id]),
    "transition_all": lambda store, one: store.transition_all(
        [one.id], lambda *_: Change(execution=one)
    ),
    "announce": lambda store, one: store.announce(Presence()),
    "present": lambda store, one: store.present(),
    "dismiss": lambda store, one: store.dismiss("host:1:a"),
    "remember_graph": lambda store, one: store.remember_graph("orders", "1", {}),
    "graph": lambda store, one: store.graph("orders", "1"),
    "atomic": lambda store, one: store.atomic().__enter__(),
    # SQLite has no clock of its own to ask for.
    **({"now": lambda store, one: store.now()} if settings.TEST_DB != "sqlite" else {}),
}


def test_each_method_of_a_store_is_called_here():
    local = {"settle", "suspend", "lost_by", "refresh", "refuse_open_transaction", "on_commit"}
    local.add("group_commit")

    methods = {name for name in dir(Store) if not name.startswith("_")}

    assert set(CALLS) | {"now"} == methods - local - {"supports_atomic", "concurrent_writers"}


@pytest.mark.parametrize("call", CALLS)
def test_a_database_that_is_not_there_is_told_with_its_alias_and_reason(call, down):
    store = OrmStore(using=down)

    with pytest.raises(StoreUnavailable, match=r"OrmStore\(using='down'\)") as caught:
        CALLS[call](store, make_execution())

    reason = caught.value.__cause__
    assert isinstance(reason, OperationalError | InterfaceError)
    assert str(reason).strip() in str(caught.value)


@pytest.fixture
def hang_up():
    """Return what ends the connection of this thread from the server's side."""
    if settings.TEST_DB == "sqlite":
        pytest.skip("SQLite has no server")
    ask, end = {
        "postgres": ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend(%s)"),
        "mariadb": ("SELECT CONNECTION_ID()", "KILL %s"),
    }[settings.TEST_DB]

    def hang_up():
        with connection.cursor() as cursor:
            cursor.execute(ask)
            number = cursor.fetchone()
        elsewhere(lambda: connection.cursor().execute(end, number))

    return hang_up


@pytest.mark.django_db(transaction=True)
def test_a_store_finds_back_to_a_database_that_came_back(store, hang_up):
    execution = claimed(store)
    hang_up()

    with pytest.raises(StoreUnavailable):
        store.checkpoint(execution, [make_entry(execution)], execution.fence)

    store.checkpoint(execution, [make_entry(execution)], execution.fence)
    assert len(store.entries(execution.id)) == 1


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_before_the_commit_is_told(store, hang_up):
    def step():
        with store.atomic():
            Group.objects.create(name="lost")
            hang_up()

    with pytest.raises(StoreUnavailable):
        step()

    assert not Group.objects.exists()
    assert not WorkflowExecution.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_database_that_goes_under_a_sweep_is_told_and_not_asked_one_by_one(store, hang_up):
    execution = halted(store, {"wake_at": at(1)})
    cut = []

    def cut_before_the_lock(execute, sql, params, many, context):
        if "UPDATE" in sql and not cut:
            cut.append(hang_up())
        return execute(sql, params, many, context)

    with (
        connection.execute_wrapper(cut_before_the_lock),
        pytest.raises(StoreUnavailable),
    ):
        store.wake_due(at(2))

    assert store.load(execution.id) == execution
    assert [woken.id for woken in store.wake_due(at(2))] == [execution.id]
