"""How DatabaseAdapter rings on PostgreSQL, and how its workers wait elsewhere."""

import time
from threading import Event, Thread

import pytest
from django.db import DatabaseError, connection
from django.db.backends.signals import connection_created

from django_workflows.core.clock import now
from django_workflows.core.ids import new_id
from django_workflows.core.store import Pending
from django_workflows.exceptions import StoreUnavailable
from django_workflows.runners.database import (
    LONGEST_POLL,
    LONGEST_WITH_BELL,
    Bell,
    DatabaseAdapter,
    can_wait,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def adapter():
    return DatabaseAdapter(lambda execution_id: None)


@pytest.fixture
def bell():
    stopping = Event()
    bell = Bell("default", stopping)
    yield bell
    bell.close()


def pending(queue=None):
    return Pending(
        id=new_id(), workflow_id="plain", queue=queue, priority=0, fence=0, created_at=now()
    )


def is_postgres():
    return connection.vendor == "postgresql"


@pytest.fixture
def on_postgres():
    if not is_postgres():
        pytest.skip("NOTIFY is PostgreSQL's")


@pytest.fixture
def elsewhere():
    if is_postgres():
        pytest.skip("PostgreSQL rings")


@pytest.mark.usefixtures("on_postgres")
class TestOnPostgres:
    def test_ring_is_heard_at_once(self, adapter, bell):
        bell.hear()
        adapter.dispatch(pending())
        began = time.monotonic()

        assert bell.wait(10)

        assert time.monotonic() - began < 2
        assert bell.longest == LONGEST_WITH_BELL

    def test_ring_between_listening_and_waiting_is_not_lost(self, adapter, bell):
        bell.hear()
        bell.hear()
        adapter.dispatch(pending("slow"))
        time.sleep(0.2)

        assert bell.wait(0.5)
        assert not bell.wait(0.2)

    def test_ring_that_is_rolled_back_is_none(self, adapter, bell):
        from django.db import transaction

        bell.hear()
        with transaction.atomic():
            adapter.dispatch(pending())
            transaction.set_rollback(True)

        assert not bell.wait(0.3)

    def test_connection_that_breaks_counts_as_a_ring_and_is_made_anew(self, adapter, bell):
        bell.hear()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND query LIKE 'LISTEN%%'"
            )

        assert bell.wait(5)
        assert bell.longest == LONGEST_POLL
        bell.hear()
        adapter.dispatch(pending())

        assert bell.wait(5)

    def test_server_that_is_away_is_polled_for(self, bell, monkeypatch):
        from django.db.backends.base.base import BaseDatabaseWrapper

        def refuse(self):
            raise DatabaseError("connection refused")

        with monkeypatch.context() as away:
            away.setattr(BaseDatabaseWrapper, "ensure_connection", refuse)
            bell.hear()

        assert bell.longest == LONGEST_POLL

    def test_driver_that_cannot_wait_is_polled_for_with_no_connection_for_each_look(
        self, bell, monkeypatch
    ):
        opened = []

        def keep(sender, connection, **kwargs):
            opened.append(connection)

        connection_created.connect(keep)
        monkeypatch.setattr("django_workflows.runners.database.can_wait", lambda connection: False)
        with connection.cursor():  # this thread's own is open
            opened.clear()

        for _ in range(3):
            bell.hear()

        assert bell.longest == LONGEST_POLL
        assert len(opened) == 1
        assert not bell.wait(0.1)

    def test_driver_of_these_tests_can_wait(self):
        connection.ensure_connection()

        assert can_wait(connection.connection)


class Psycopg2:
    """Of its connection, what was heard is a list."""

    notifies = ()


class Psycopg31:
    """Its connection waits for ever."""

    def notifies(self):
        raise AssertionError("it would not end")


class Psycopg32:
    def notifies(self, *, timeout=None, stop_after=None):
        yield


@pytest.mark.parametrize(
    ("driver", "answer"), [(Psycopg2, False), (Psycopg31, False), (Psycopg32, True)]
)
def test_drivers_that_cannot_wait_are_known(driver, answer):
    assert can_wait(driver()) is answer


@pytest.mark.usefixtures("elsewhere")
def test_elsewhere_nothing_rings(adapter, bell):
    bell.hear()
    adapter.dispatch(pending())

    assert not bell.wait(0.1)
    assert bell.longest == LONGEST_POLL


def test_wait_ends_once_the_worker_is_to_stop(bell):
    bell.hear()
    Thread(target=lambda: (time.sleep(0.2), bell.stopping.set())).start()
    began = time.monotonic()

    assert not bell.wait(20)

    assert time.monotonic() - began < 5


def test_alias_that_is_not_there_is_a_problem_with_a_cure():
    (problem,) = DatabaseAdapter(lambda execution_id: None, using="elsewhere").problems()

    assert problem == "OPTIONS['using'] is 'elsewhere', which settings.DATABASES does not have."


def test_alias_that_is_there_is_none(adapter):
    assert list(adapter.problems()) == []


class Away:
    """Hands whose store is away for a while."""

    queues, threads = (), 1

    def __init__(self, times):
        self.stopping = Event()
        self.times = times
        self.asked = []

    def claim(self, limit):
        self.asked.append(time.monotonic())
        if len(self.asked) <= self.times:
            raise StoreUnavailable("test", "away")
        self.stopping.set()
        return []

    def drive(self, execution):
        raise AssertionError("nothing was claimed")


def test_store_that_is_away_is_asked_with_growing_pauses_and_logged_once(adapter, caplog):
    hands = Away(4)

    adapter.work(hands)

    pauses = [later - sooner for sooner, later in zip(hands.asked, hands.asked[1:], strict=False)]
    assert len(pauses) == 4
    assert pauses[3] > 2 * pauses[0]
    assert caplog.text.count("This worker finds no work") == 1
    assert caplog.text.count("This worker has its store back") == 1
