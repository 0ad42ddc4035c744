"""Bells that are slow or out of order, executions inside executions, and dead connections."""

import time
from select import select

import pytest
from django.db import OperationalError, connection

from django_workflows import api, run, start, wiring
from django_workflows.exceptions import ConfigurationError, StoreUnavailable
from django_workflows.runners import threads
from django_workflows.runners.base import PAUSE, Adapter
from django_workflows.runners.nesting import DEEPEST
from django_workflows.runners.threads import KEPT, fresh_connections
from django_workflows.steps import Call

pytestmark = pytest.mark.django_db(transaction=True)


class Slow(Adapter):
    rung = 0

    def dispatch(self, execution):
        self.rung += 1
        time.sleep(0.05)


def test_bell_that_takes_its_time_is_left_alone_for_a_while(monkeypatch, registered):
    monkeypatch.setattr("django_workflows.runners.base.SLOW", 0.01)
    execution = wiring.engine(registered("plain", work=Call(lambda: 1)).definition).create()
    bell = Slow(lambda execution_id: None)

    assert bell.ring(execution)
    assert not bell.ring(execution)
    assert bell.is_quiet

    assert bell.rung == 1
    monkeypatch.setattr("django_workflows.runners.base.monotonic", lambda: time.monotonic() + PAUSE)
    assert not bell.is_quiet


def test_starts_within_starts_do_not_go_deeper_and_deeper(registered):
    depths, depth = [], [0]

    def work(state):
        depth[0] += 1
        depths.append(depth[0])
        if state.input["left"]:
            start("nested", {"left": state.input["left"] - 1})
        depth[0] -= 1

    registered("nested", work=Call(work))

    start("nested", {"left": 20})

    assert len(depths) == 21
    assert max(depths) == DEEPEST
    assert {one.status for one in wiring.store().find("nested")} == {"completed"}


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a file goes nowhere")
@pytest.mark.parametrize("idle", [0.0, 60.0])
@pytest.mark.parametrize("max_age", [0, None])
def test_connection_that_the_server_closed_is_replaced(max_age, idle, monkeypatch):
    fresh_connections()  # which asks, and not again for IDLE seconds
    monkeypatch.setattr(threads, "IDLE", idle)
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", max_age)
    connection.close()  # its age is counted from when it is opened
    is_postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()" if is_postgres else "SELECT CONNECTION_ID()")
        (pid,) = cursor.fetchone()
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)" if is_postgres else "KILL %s", [pid])
    other.close()
    select([connection.connection.fileno()], [], [], 10)  # its farewell is on its way

    fresh_connections()

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a file has no other end")
def test_connection_that_its_driver_closed_is_replaced():
    connection.ensure_connection()
    fresh_connections()
    connection.connection.close()

    fresh_connections()

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


@pytest.mark.skipif(connection.vendor == "sqlite", reason="a file has no other end")
def test_server_is_asked_where_nobody_can_tell_whether_it_is_there(monkeypatch):
    connection.ensure_connection()
    fresh_connections()
    asked = []
    monkeypatch.setattr(threads, "close_if_dead", asked.append)
    monkeypatch.delattr("select.poll")

    fresh_connections()

    assert asked.count(connection) == 1


@pytest.mark.parametrize(
    ("max_age", "age", "is_kept"),
    [
        (None, 10**6, True),
        (60, 59, True),
        (60, 61, False),
        # Django's default: after each request. A worker would open one for each execution.
        (0, 0, True),
        (0, KEPT - 1, True),
        (0, KEPT + 1, False),
    ],
)
def test_connection_that_lives_is_kept_until_it_is_too_old(monkeypatch, max_age, age, is_kept):
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", max_age)
    connection.close()
    connection.ensure_connection()
    before = connection.connection
    if connection.close_at is not None:
        connection.close_at -= age

    for _ in range(3):  # looking at it makes it no younger
        fresh_connections()

    connection.ensure_connection()
    assert (connection.connection is before) is is_kept


@pytest.mark.parametrize(("idle", "times"), [(60.0, 0), (0.0, 3)])
def test_server_is_not_asked_before_each_of_many_short_runs(monkeypatch, idle, times):
    asked = []
    connection.ensure_connection()
    fresh_connections()
    monkeypatch.setattr(threads, "close_if_dead", asked.append)
    monkeypatch.setattr(threads, "IDLE", idle)

    for _ in range(3):
        fresh_connections()

    assert asked.count(connection) == times


def test_statement_that_is_wrong_is_a_failure_of_its_step(registered):
    def work():
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM nowhere")

    assert run(registered("wrong", work=Call(work))).status == "failed"


@pytest.mark.skipif(
    connection.vendor == "postgresql", reason="its driver has no state for what just broke"
)
def test_error_of_the_database_that_is_no_loss_is_a_failure_of_its_step(registered):
    def work():
        connection.errors_occurred = True
        raise ValueError("wrapped") from OperationalError("lock wait timeout")

    assert run(registered("locked", work=Call(work))).status == "failed"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="each database has its own way")
def test_step_whose_connection_is_cut_is_done_again(registered):
    cuts = [True]

    def work():
        if cuts.pop():
            cuts.append(False)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return "done"

    workflow = registered("cut", work=Call(work, atomic=True))
    with pytest.raises(StoreUnavailable) as caught:
        run(workflow)
    from django_workflows.performing import Lost

    lost = Lost()
    lost.note(caught.value)
    cuts.append(False)

    lost.give_back()

    (execution,) = wiring.store().find("cut")
    assert api.get(execution.id).result == "done"


def test_queue_that_is_not_there_silences_the_bell_for_nobody_else(registered, caplog):
    class Choosy(Slow):
        def dispatch(self, execution):
            if execution.queue == "typo":
                raise ConfigurationError("no queue 'typo'")
            self.rung += 1

    engine = wiring.engine(registered("plain", work=Call(lambda: 1)).definition)
    bell = Choosy(lambda execution_id: None)

    assert not bell.ring(engine.create(queue="typo"))

    assert bell.ring(engine.create())
    assert "could not be dispatched" in caplog.text


def test_inline_adapter_has_nobody_who_listens():
    assert wiring.adapter().listeners([]) is None
