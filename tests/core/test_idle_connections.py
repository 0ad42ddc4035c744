"""A connection that dies while a step needs none is replaced before the checkpoint."""

import threading
import time

import pytest
from django.db import connection

from django_workflows import api, halt, run, wiring
from django_workflows.core.engine import driving
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import StoreUnavailable
from django_workflows.steps import Call, Parallel
from django_workflows.stores.memory import MemoryStore
from tests.core.flows import engine_of, flow

on_server = pytest.mark.skipif(connection.vendor == "sqlite", reason="a file goes nowhere")


@pytest.fixture
def at_once(monkeypatch):
    """Have a connection looked after however short it was idle."""
    monkeypatch.setattr(driving, "IDLE", 0.0)


def cut():
    """Close this thread's connection from the server's side, as an idle timeout would."""
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()" if is_postgres else "SELECT CONNECTION_ID()")
        (number,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)" if is_postgres else "KILL %s", [number])
    other.close()
    time.sleep(0.05)


@on_server
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("options", [{}, {"timeout": 30}], ids=["plain", "in its own thread"])
def test_step_whose_idle_connection_was_closed_is_done_once(registered, at_once, options):
    calls = []

    def work():
        calls.append(1)
        cut()

    result = run(registered("idle", work=Call(work, **options), after=Call(lambda: 1, atomic=True)))

    assert result.status == ExecutionStatus.COMPLETED
    assert calls == [1]
    assert api.get(result.execution_id).fence == 1


@on_server
@pytest.mark.django_db(transaction=True)
def test_connections_of_branches_and_of_whoever_waits_for_them_are_replaced(registered, at_once):
    calls = []

    def work():
        calls.append(threading.current_thread().name)
        cut()

    both = Parallel(a=[Call(work, name="one")], b=[Call(work, name="two")])

    result = run(registered("branches", both=both, after=Call(work)))

    assert result.status == ExecutionStatus.COMPLETED
    assert len(calls) == 3
    assert api.get(result.execution_id).fence == 1


@on_server
@pytest.mark.django_db(transaction=True)
def test_halt_after_an_idle_connection_was_closed_is_written(registered, at_once):
    def work():
        cut()
        return halt("?")

    assert run(registered("halting", work=Call(work))).status == ExecutionStatus.HALTED


@on_server
@pytest.mark.django_db(transaction=True)
def test_dead_connection_is_replaced_by_the_store(registered):
    cut()

    wiring.store().refresh()

    assert wiring.store().find("nothing") == []


@pytest.mark.django_db
def test_connection_inside_a_transaction_is_left_as_it_is():
    before = connection.connection

    wiring.store().refresh()

    assert connection.connection is before


class Watched(MemoryStore):
    refreshed = 0

    def refresh(self):
        self.refreshed += 1


def test_store_that_was_just_used_is_not_asked():
    store = Watched()

    engine_of(flow(one=Call(lambda: 1), two=Call(lambda: 2)), store=store).run()

    assert store.refreshed == 0


def test_store_is_asked_before_the_checkpoint_of_a_long_step(at_once):
    store = Watched()

    engine_of(flow(one=Call(lambda: 1)), store=store).run()

    assert store.refreshed > 0


@pytest.mark.parametrize("atomic", [False, True])
def test_store_that_cannot_connect_again_is_no_failure_of_the_step(at_once, atomic):
    class Away(MemoryStore):
        def refresh(self):
            raise StoreUnavailable("test", "away")

    engine = engine_of(flow(one=Call(lambda: 1, atomic=atomic)), store=Away())

    with pytest.raises(StoreUnavailable):
        engine.run()

    (left,) = engine.store.find()
    assert left.status == ExecutionStatus.RUNNING


def test_store_is_not_asked_inside_the_transaction_of_a_step(at_once):
    store = Watched()
    asked = []

    def work():
        asked.append(store.refreshed)

    engine_of(flow(one=Call(work, atomic=True), two=Call(work)), store=store).run()

    # Before the first, and not again until the second.
    assert asked == [1, 1]
