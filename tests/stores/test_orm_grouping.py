"""Checkpoints of several threads go in one statement, and each is told of its own."""

import ctypes
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from threading import Barrier, Event, Thread

import pytest
from django.db import IntegrityError, connection, connections, transaction

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.ids import new_id
from django_workflows.exceptions import StaleExecution, StoreUnavailable
from django_workflows.stores.orm import OrmStore, grouping
from django_workflows.stores.orm.grouping import GroupCommit
from tests.stores.contract.records import MINUTE, make_chore, make_entry, make_execution

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="PostgreSQL's own"),
]

THREADS = 8


@pytest.fixture
def batches(monkeypatch):
    """Return how many checkpoints each statement wrote, as it goes on."""
    sizes = []
    write_now = GroupCommit._write_now

    def spied(group, batch):
        sizes.append(len(batch))
        return write_now(group, batch)

    monkeypatch.setattr(GroupCommit, "_write_now", spied)
    return sizes


@pytest.fixture
def together(monkeypatch):
    """Make whoever is first wait until all have come."""
    monkeypatch.setattr(grouping, "PATIENCE", 10.0)


@pytest.fixture
def store():
    store = OrmStore()
    with store.group_commit(lambda: 2 * THREADS):
        yield store


def claimed(store, count=THREADS):
    return [store.claim(store.create(make_execution()).id, "worker", MINUTE) for _ in range(count)]


def advance(store, execution, name="paid", **changes):
    """Write a checkpoint as a driver does."""
    after = replace(execution, current_step=name, **changes)
    entries = [make_entry(execution, name), make_entry(execution, f"{name} too")]
    store.checkpoint(after, entries, execution.fence, previous=execution)
    return after


def at_once(*calls):
    """Do ``calls`` in threads; return of each what it returned or raised."""
    barrier = Barrier(len(calls))

    def do(call):
        try:
            barrier.wait()
            return call()
        except Exception as error:  # noqa: BLE001  it is looked at below
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(do, calls))


def steps(store, execution):
    return [entry.step_id for entry in store.entries(execution.id)]


def test_checkpoints_that_come_together_are_one_statement(store, batches, together):
    executions = claimed(store)

    after = at_once(*(lambda one=one: advance(store, one) for one in executions))

    assert batches == [THREADS]
    assert [store.load(one.id) for one in executions] == after
    assert all(steps(store, one) == ["paid", "paid too"] for one in executions)


def test_different_columns_go_in_one_statement(store, batches, together):
    executions = claimed(store)
    ends = [
        {"status": ExecutionStatus.COMPLETED, "result": number, "lease_owner": None}
        if number % 2
        else {"ctx": {"number": number}}
        for number in range(THREADS)
    ]

    after = at_once(
        *(
            lambda one=one, end=end: advance(store, one, **end)
            for one, end in zip(executions, ends, strict=True)
        )
    )

    assert batches == [THREADS]
    assert [store.load(one.id) for one in executions] == after


def test_without_entries(store, together):
    executions = claimed(store)

    at_once(
        *(
            lambda one=one: store.checkpoint(replace(one, attempt=2), [], one.fence, previous=one)
            for one in executions
        )
    )

    assert [store.load(one.id).attempt for one in executions] == [2] * THREADS


def test_many_rounds_lose_nothing_and_keep_their_order(store, batches, monkeypatch):
    rounds = 25
    names = [str(number) for number in range(rounds)]

    def go_on(execution):
        for name in names:
            execution = advance(store, execution, name)

    executions = claimed(store)
    assert at_once(*(lambda one=one: go_on(one) for one in executions)) == [None] * THREADS

    expected = [step for name in names for step in (name, f"{name} too")]
    assert all(steps(store, one) == expected for one in executions)
    assert sum(batches) == rounds * THREADS
    assert len(batches) < rounds * THREADS / 2


def test_late_writer_is_refused_and_the_others_are_not(store, together):
    late, *others = claimed(store)
    store.save(replace(late, fence=late.fence + 1))

    refused, *written = at_once(*(lambda one=one: advance(store, one) for one in (late, *others)))

    assert isinstance(refused, StaleExecution)
    assert steps(store, late) == []
    assert [store.load(one.id) for one in others] == written


@pytest.mark.parametrize("changes", [{}, {"attempt": 2}], ids=["same columns", "others"])
def test_late_writer_does_not_go_along_with_who_came_after_it(store, together, changes):
    late, *others = claimed(store)
    store.save(replace(late, fence=late.fence + 1))
    current = store.load(late.id)

    told = at_once(
        lambda: advance(store, late, "late"),
        lambda: advance(store, current, "paid", **changes),
        *(lambda one=one: advance(store, one) for one in others),
    )

    assert [type(one) for one in told].count(StaleExecution) == 1
    assert isinstance(told[0], StaleExecution)
    assert steps(store, current) == ["paid", "paid too"]


def led(store):
    """Return whether whoever comes next would wait for another."""
    return store._group._is_led or bool(store._group._waiting)


@pytest.mark.parametrize("error", [ValueError, TypeError])
def test_what_fails_before_it_is_sent_is_written_by_each(store, together, monkeypatch, error):
    def fail(group, batch):
        raise error("before it was sent")

    monkeypatch.setattr(GroupCommit, "_write_now", fail)
    executions = claimed(store)

    after = at_once(*(lambda one=one: advance(store, one) for one in executions))

    assert [store.load(one.id) for one in executions] == after
    assert not led(store)


def test_nobody_waits_for_a_thread_that_ended_while_it_wrote(store, together, monkeypatch):
    class Ended(BaseException):
        pass

    def end(group, batch):
        raise Ended

    def fall(execution):
        try:
            advance(store, execution)
        except Ended as error:
            raise ValueError("it ended") from error

    executions = claimed(store)
    with monkeypatch.context() as patch:
        patch.setattr(GroupCommit, "_write_now", end)
        told = at_once(*(lambda one=one: fall(one) for one in executions))

    assert [type(one) for one in told].count(ValueError) == 1  # its own
    assert [type(one) for one in told].count(StoreUnavailable) == THREADS - 1
    assert not led(store)


def test_nobody_waits_for_a_thread_that_ended_while_it_waited(store, monkeypatch):
    first, second, third = claimed(store, 3)
    begun, go_on = Event(), Event()
    write_now = GroupCommit._write_now

    def slow(group, batch):
        begun.set()
        assert go_on.wait(10)
        return write_now(group, batch)

    class Gone(Exception):
        pass

    monkeypatch.setattr(GroupCommit, "_write_now", slow)
    monkeypatch.setattr(grouping, "PATIENCE", 0.0)
    leader = Thread(target=lambda: at_once(lambda: advance(store, first)))
    leader.start()
    assert begun.wait(10)

    def follow():
        with suppress(Gone):
            advance(store, second)

    follower = Thread(target=follow)
    follower.start()
    while not store._group._waiting:
        assert follower.is_alive()
    number, error = ctypes.c_long(follower.ident), ctypes.py_object(Gone)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(number, error)  # as RQ's timeouts do
    go_on.set()
    leader.join()
    follower.join()

    assert at_once(lambda: advance(store, third)) == [store.load(third.id)]
    assert not led(store)


def test_value_that_is_refused_is_refused_alone(store, together):
    bad, *others = claimed(store)

    refused, *written = at_once(
        lambda: advance(store, bad, parent=new_id()),
        *(lambda o=one: advance(store, o) for one in others),
    )

    assert isinstance(refused, IntegrityError)
    assert steps(store, bad) == []
    assert [store.load(one.id) for one in others] == written


def test_locked_row_holds_up_nobody_else(store, together):
    locked, *others = claimed(store)
    rows = store._executions.filter(id=locked.id).select_for_update()
    done = []
    with transaction.atomic():
        assert rows.get()
        waiting = Thread(target=lambda: done.append(at_once(lambda: advance(store, locked))))
        waiting.start()

        written = at_once(*(lambda one=one: advance(store, one) for one in others))

        assert [store.load(one.id) for one in others] == written
        assert not done
    waiting.join()

    assert [[store.load(locked.id)]] == done


@pytest.fixture
def alone():
    store = OrmStore()
    with store.group_commit(lambda: 1):
        yield store


def test_one_that_comes_alone(alone, batches):
    (execution,) = claimed(alone, 1)

    after = advance(alone, execution)

    assert batches == [1]
    assert alone.load(execution.id) == after
    assert steps(alone, execution) == ["paid", "paid too"]


def test_one_that_comes_alone_and_late(alone):
    (execution,) = claimed(alone, 1)
    alone.save(replace(execution, fence=execution.fence + 1))

    with pytest.raises(StaleExecution):
        advance(alone, execution)

    assert steps(alone, execution) == []


def test_one_that_comes_alone_and_finds_its_row_locked_lets_others_write(alone):
    locked, other = claimed(alone, 2)
    rows = alone._executions.filter(id=locked.id).select_for_update()
    done = []
    with transaction.atomic():
        assert rows.get()
        waiting = Thread(target=lambda: done.append(at_once(lambda: advance(alone, locked))))
        waiting.start()
        waiting.join(0.2)

        (written,) = at_once(lambda: advance(alone, other))

        assert alone.load(other.id) == written
        assert not done
    waiting.join()

    assert [[alone.load(locked.id)]] == done


def test_many_entries_of_one(alone):
    (execution,) = claimed(alone, 1)
    entries = [make_entry(execution, str(number)) for number in range(700)]

    alone.checkpoint(execution, entries, execution.fence, previous=execution)

    assert steps(alone, execution) == [str(number) for number in range(700)]


def test_open_transaction_takes_its_own_checkpoint_along(store, batches):
    (execution,) = claimed(store, 1)

    with store.atomic():
        advance(store, execution)
        transaction.set_rollback(True)

    assert batches == []
    assert store.load(execution.id) == execution


def test_what_leaves_a_chore_goes_alone(store, batches):
    (execution,) = claimed(store, 1)

    store.checkpoint(execution, [], execution.fence, chores=[make_chore(execution)])

    assert batches == []


@pytest.mark.parametrize("idle", [0.0, 60.0])
def test_connection_that_was_cut_while_idle_is_replaced(store, monkeypatch, idle):
    first, second = claimed(store, 2)
    advance(store, first)
    cut(store)
    monkeypatch.setattr(grouping, "IDLE", idle)

    assert advance(store, second) == store.load(second.id)


def test_connection_that_was_cut_is_told_to_all_and_replaced(store, monkeypatch):
    executions = claimed(store)
    advance(store, executions[0])
    cut(store)
    monkeypatch.setattr(grouping, "is_quiet", lambda connection: True)  # cut in the same moment
    monkeypatch.setattr(grouping, "PATIENCE", 10.0)

    told = at_once(*(lambda one=one: advance(store, one) for one in executions))

    assert {type(error) for error in told} == {StoreUnavailable}
    monkeypatch.setattr(grouping, "PATIENCE", 0.0)
    assert advance(store, executions[1]) == store.load(executions[1].id)


def cut(store):
    """End the connection of the group as a server does that is shut down."""
    with store._group._connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_nobody_waits_for_few(batches, monkeypatch):
    monkeypatch.setattr(grouping, "PATIENCE", 60.0)
    store = OrmStore()
    with store.group_commit(lambda: 3):
        (execution,) = claimed(store, 1)
        advance(store, execution)

    assert batches == [1]


def test_who_is_first_waits_no_longer_than_its_patience(store, batches):
    (execution,) = claimed(store, 1)

    advance(store, execution)

    assert batches == [1]


def test_more_than_one_statement_takes_are_written_by_the_next(store, batches, monkeypatch):
    monkeypatch.setattr(grouping, "MOST", 3)
    executions = claimed(store)

    at_once(*(lambda one=one: advance(store, one) for one in executions))

    assert max(batches) <= 3
    assert sum(batches) == THREADS
    assert all(steps(store, one) == ["paid", "paid too"] for one in executions)


def test_connection_that_does_not_commit_by_itself_is_not_shared(monkeypatch):
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
    store = OrmStore()

    with store.group_commit(lambda: 0):
        assert store._group is None


def test_only_the_outermost_counts_and_nothing_is_left_open(store):
    group = store._group
    with store.group_commit(lambda: 0):
        assert store._group is group
    assert store._group is group

    other = OrmStore()
    with other.group_commit(lambda: 0):
        (execution,) = claimed(other, 1)
        advance(other, execution)
        ended = other._group._connection
    assert ended.connection is None
    assert other._group is None


def test_group_waits_while_it_is_led(store, batches, monkeypatch):
    begun, go_on = Event(), Event()
    write_now = GroupCommit._write_now

    def slow(group, batch):
        begun.set()
        assert go_on.wait(10)
        return write_now(group, batch)

    monkeypatch.setattr(GroupCommit, "_write_now", slow)
    first, *others = claimed(store)
    leader = Thread(target=lambda: at_once(lambda: advance(store, first)))
    leader.start()
    assert begun.wait(10)
    followers = Thread(target=lambda: at_once(*(lambda o=one: advance(store, o) for one in others)))
    followers.start()
    while len(store._group._waiting) < len(others):
        assert followers.is_alive()
    go_on.set()
    leader.join()
    followers.join()

    assert batches == [1, len(others)]
