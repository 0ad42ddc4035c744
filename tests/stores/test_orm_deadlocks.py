"""Transactions that the database undoes for another's sake, and those that must not meet at all."""

import threading
from contextlib import suppress
from dataclasses import replace
from time import sleep

import pytest
from django.db import OperationalError, connection, connections, transaction
from django.db.models import F

from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Answer
from django_workflows.exceptions import NotResumable, StaleExecution, StoreUnavailable
from django_workflows.models import WorkflowExecution
from django_workflows.stores.orm import OrmStore
from django_workflows.stores.orm.connection import ATTEMPTS
from tests import settings
from tests.stores.contract.records import MINUTE, make_child, make_execution, make_wait
from tests.stores.contract.threads import Threads

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(settings.TEST_DB == "sqlite", reason="SQLite has one lock for all"),
]

WAITING = {
    "postgres": """
        SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """,
    "mariadb": """
        SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'
    """,
}


@pytest.fixture
def store():
    return OrmStore()


class Rival:
    """Another transaction, which holds what it is to lock before and asks for what one has."""

    def __init__(self, store):
        self.store = store
        self.wanted = store.create(make_execution())
        self.has_locked = threading.Semaphore(0)
        self.may_ask = threading.Semaphore(0)
        self.asks = threading.Event()
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        # The one that looks for a deadlock is undone: on PostgreSQL, which waits for a while.
        self.execute({"postgres": "SET deadlock_timeout = '20ms'"})
        # On MariaDB it is the one that has written less.
        self.held = [self.store.create(make_execution()).id for _ in range(20)]
        self.thread.start()
        return self

    def __exit__(self, *error):
        self.is_over.set()
        self.may_ask.release()
        self.thread.join()
        self.execute({"postgres": "RESET deadlock_timeout"})

    def execute(self, statements):
        if settings.TEST_DB in statements:
            with connection.cursor() as cursor:
                cursor.execute(statements[settings.TEST_DB])

    def run(self):
        try:
            while not self.is_over.is_set():
                self.lock_and_ask()
        finally:
            connections.close_all()

    def lock_and_ask(self):
        with transaction.atomic():
            self.execute({"postgres": "SET LOCAL deadlock_timeout = '60s'"})
            rows = WorkflowExecution.objects.filter(pk__in=self.held)
            rows.update(priority=F("priority") + 1)
            self.has_locked.release()
            assert self.may_ask.acquire(timeout=30)
            if self.is_over.is_set():
                return
            self.asks.set()
            WorkflowExecution.objects.filter(pk=self.wanted.id).update(priority=7)
            self.asks.clear()

    def meet(self):
        """Ask for what the rival holds, once the rival asks for what this transaction holds."""
        # It asks still where this transaction, undone, was quicker to lock its row anew.
        if not self.asks.is_set():
            assert self.has_locked.acquire(timeout=30)
            self.may_ask.release()
        with connection.cursor() as cursor:
            for _ in range(100):
                # MariaDB looks anew only where it was not asked for a tenth of a second.
                sleep(0.15)
                cursor.execute(WAITING[settings.TEST_DB])
                if cursor.fetchone()[0]:
                    break
        WorkflowExecution.objects.filter(pk=self.held[0]).update(priority=1)


def test_a_transition_that_was_undone_for_another_is_decided_anew(store):
    seen = []

    def decide(stored, waits):
        seen.append(stored.priority)
        if len(seen) == 1:
            rival.meet()
        return Change(execution=replace(stored, queue="decided"))

    with Rival(store) as rival:
        store.transition(rival.wanted.id, decide)

    after = store.load(rival.wanted.id)
    assert (len(seen), seen[0]) == (2, 0)
    assert (after.priority, after.queue) == (7, "decided")


def test_a_transition_that_is_undone_again_and_again_is_given_up(store):
    seen = []

    def decide(stored, waits):
        seen.append(stored.priority)
        rival.meet()

    with Rival(store) as rival, pytest.raises(StoreUnavailable, match=r"(?i)deadlock"):
        store.transition(rival.wanted.id, decide)

    assert (len(seen), seen[0]) == (ATTEMPTS, 0)


def test_a_transition_inside_the_users_transaction_is_not_repeated(store):
    seen = []

    def decide(stored, waits):
        seen.append(stored.priority)
        rival.meet()

    def work():
        with transaction.atomic():
            store.transition(rival.wanted.id, decide)

    with Rival(store) as rival, pytest.raises(StoreUnavailable, match=r"(?i)deadlock"):
        work()

    assert seen == [0]


def test_another_error_is_not_repeated(store):
    execution = store.create(make_execution())
    seen = []

    def decide(stored, waits):
        seen.append(stored.priority)
        raise OperationalError("the disk is full")

    with pytest.raises(StoreUnavailable, match="the disk is full"):
        store.transition(execution.id, decide)

    assert seen == [0]


# No deadlock ------------------------------------------------------------------------------------


class TestFamilies(Threads):
    """Parents and children, written by many at once."""

    def leave_thread(self):
        connections.close_all()

    def test_a_parent_and_its_children_change_at_once(self, store):
        parent = store.create(make_execution())
        claimed = store.claim(parent.id, "worker", MINUTE)
        first = [make_child(parent, item) for item in range(40)]
        store.create_children(parent.id, claimed.fence, first)

        def add(round_):
            children = [make_child(parent, 100 * round_ + item) for item in range(1, 30)]
            store.create_children(parent.id, claimed.fence, [*children, *first])

        def change_parent(round_):
            store.transition(
                parent.id,
                lambda stored, waits: Change(
                    execution=replace(stored, ctx={"n": round_}), waits=[make_wait(stored)]
                ),
            )

        def change_children(round_):
            for child in first:
                store.transition(
                    child.id,
                    lambda stored, waits: Change(
                        execution=replace(stored, status=ExecutionStatus.FAILED),
                        waits=[make_wait(stored)],
                    ),
                )

        def release(round_):
            store.release_held(parent.id, "each", 30)
            store.supersede(parent.id, "other")

        work = [add, change_parent, change_children, release]
        seen = []

        def rounds(number):
            for round_ in range(5):
                try:
                    work[number % 4](10 * number + round_)
                except (NotResumable, StaleExecution) as error:
                    seen.append(error)

        outcomes = self.together(rounds)

        assert outcomes == [None] * 8
        assert seen == []
        assert len(store.execution_ids(parent=parent.id)) == 40 + 2 * 5 * 29

    def test_a_child_is_written_below_a_parent_that_is_locked(self, store):
        """On PostgreSQL; MariaDB's foreign keys ask for a lock that it has one kind of."""
        if settings.TEST_DB != "postgres":
            pytest.skip("PostgreSQL's own")
        parent = store.create(make_execution())
        child = make_child(parent)
        written = threading.Event()

        def decide(stored, waits):
            thread = threading.Thread(target=write)
            thread.start()
            assert written.wait(timeout=30)
            thread.join()
            return Change(execution=stored)

        def write():
            store.create(child)
            written.set()
            connections.close_all()

        store.transition(parent.id, decide)

        assert store.load(child.id) == child

    def test_answers_and_supervisors_at_once(self, store):
        moment = make_execution().created_at
        asleep = []
        for _ in range(30):
            execution = store.create(
                make_execution(status=ExecutionStatus.HALTED, fence=1, deadline_at=moment)
            )
            waits = [make_wait(execution, step, wake_at=moment) for step in ("left", "right")]
            store.checkpoint(execution, [], 1, waits)
            asleep.append(execution)

        def work(number):
            if number % 2:
                while store.wake_due(moment, limit=7):
                    pass
                return
            for execution in asleep[:: 1 if number % 4 else -1]:
                with suppress(NotResumable):
                    store.settle(execution.id, "left", Answer())

        assert self.together(work) == [None] * 8
        store.wake_due(moment)
        settled = [wait.status for one in asleep for wait in store.waits(one.id)]
        assert settled == ["settled"] * 60
        assert {len(store.entries(one.id)) for one in asleep} == {2}
