"""How OrmStore wakes what is due by the hundred, and shares it with others that do the same."""

import logging
import threading

import pytest
from django.db import connection, connections, transaction
from django.db.models import TextField, Value
from django.test.utils import CaptureQueriesContext

from django_workflows.core import clock
from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.models import WorkflowExecution
from django_workflows.stores.orm import OrmStore
from tests import settings
from tests.stores.contract.records import MINUTE, at, halted, make_execution, running

pytestmark = pytest.mark.django_db(transaction=True)

NOW = at(1000)

needs_row_locks = pytest.mark.skipif(
    settings.TEST_DB == "sqlite", reason="SQLite has one lock for all"
)


@pytest.fixture
def store():
    return OrmStore()


class Holding:
    """Holds rows of executions in a transaction of another thread, for as long as it is open."""

    def __init__(self, ids):
        self.ids = ids
        self.has_locked, self.may_end = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        assert self.has_locked.wait(timeout=30)

    def __exit__(self, *error):
        self.may_end.set()
        self.thread.join()

    def run(self):
        with transaction.atomic():
            rows = WorkflowExecution.objects.select_for_update().order_by("pk")
            list(rows.filter(pk__in=self.ids))
            self.has_locked.set()
            self.may_end.wait(timeout=60)
        connections.close_all()


def names(executions):
    return {execution.id for execution in executions}


def break_ctx(execution):
    broken = Value("{", output_field=TextField())
    WorkflowExecution.objects.filter(pk=execution.id).update(ctx=broken)


# Many at once -----------------------------------------------------------------------------------


def test_many_are_woken_by_few_statements(store):
    spent = []
    for count in (5, 50):
        for age in range(count):
            halted(store, {"wake_at": at(age)}, ctx={"n": age}, claims=age % 2)
        with CaptureQueriesContext(connection) as said:
            woken = store.wake_due(NOW, 100)
        assert len(woken) == count
        spent.append(len(said))

    few, many = spent
    # Four looks, BEGIN, the executions, their waits, what is written, COMMIT: PostgreSQL takes
    # what is written as one, SQLite a statement first that lets nobody else write.
    assert few == many
    assert few <= {"postgresql": 9, "mysql": 12, "sqlite": 13}[connection.vendor]


def test_what_is_woken_together_is_as_it_is_stored(store):
    expired = running(store, lease_expires_at=at(1), fence=3, ctx={"n": 1})
    timers = [halted(store, {"wake_at": at(age)}, ctx={"n": age}) for age in range(3)]

    woken = store.wake_due(NOW)

    assert names(woken) == names([expired, *timers])
    assert woken == [store.load(execution.id) for execution in woken]


def test_one_that_is_due_for_every_reason_is_decided_for_each_and_woken_once(store):
    execution = halted(
        store,
        {"step": "left", "remind_at": at(1)},
        {"step": "right", "wake_at": at(2), "remind_at": at(3)},
        deadline_at=at(4),
    )

    woken = store.wake_due(NOW)

    actions = [(entry.action, entry.step_id) for entry in store.entries(execution.id)]
    assert names(woken) == {execution.id}
    assert len(woken) == 1
    # Of what is settled nobody is reminded.
    assert actions == [(EntryAction.RESUMED, "right"), (EntryAction.REMINDED, "left")]


def test_one_that_was_pending_before_is_not_woken(store):
    execution = halted(store, {"step": "a", "wake_at": at(1)}, {"step": "b", "wake_at": at(2)})
    first = store.wake_due(at(1))

    second = store.wake_due(at(2))

    assert names(first) == {execution.id}
    assert second == []
    assert [wait.status for wait in store.waits(execution.id)] == ["settled", "settled"]


# Trouble ----------------------------------------------------------------------------------------


def test_one_that_cannot_be_read_keeps_nobody_else_waiting(store, caplog):
    broken = halted(store, {"wake_at": at(1)})
    others = [halted(store, {"wake_at": at(age)}) for age in (0, 2, 3)]
    break_ctx(broken)

    with caplog.at_level(logging.INFO, "django_workflows"):
        woken = store.wake_due(NOW)

    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert names(woken) == names(others)
    assert told.execution_id == broken.id
    assert broken.id in told.getMessage()
    assert "one by one" in caplog.text
    assert [due.execution_id for due in store.due(NOW)] == [broken.id]


def test_a_batch_that_cannot_be_read_leaves_the_users_transaction_usable(store):
    broken, other = halted(store, {"wake_at": at(1)}), halted(store, {"wake_at": at(2)})
    break_ctx(broken)

    with transaction.atomic():
        woken = store.wake_due(NOW)
        found = store.load(other.id)

    assert names(woken) == {other.id}
    assert found.status == store.load(other.id).status == ExecutionStatus.PENDING


def test_a_pending_one_that_cannot_be_read_keeps_no_other_from_being_claimed(store, caplog):
    broken, *others = (store.create(make_execution(age)) for age in range(3))
    break_ctx(broken)

    claimed = store.claim_pending("worker", MINUTE, 9, workflow_ids=["orders"])

    (told,) = caplog.records
    assert claimed == [store.load(execution.id) for execution in others]
    assert {execution.lease_owner for execution in claimed} == {"worker"}
    assert told.execution_id == broken.id
    assert store.claim_pending("worker", MINUTE, 9, workflow_ids=["orders"]) == []


# Side by side -----------------------------------------------------------------------------------


@needs_row_locks
def test_what_another_holds_is_passed_over_and_not_waited_for(store):
    executions = [halted(store, {"wake_at": at(age)}) for age in range(6)]

    with Holding([execution.id for execution in executions[:3]]):
        woken = store.wake_due(NOW)
    left = store.wake_due(NOW)

    assert names(woken) == names(executions[3:])
    assert names(left) == names(executions[:3])


@needs_row_locks
def test_what_another_holds_leaves_room_for_the_next(store):
    executions = [halted(store, {"wake_at": at(age)}) for age in range(6)]

    with Holding([execution.id for execution in executions[:3]]):
        woken = store.wake_due(NOW, limit=2)

    assert names(woken) == names(executions[3:5])


@needs_row_locks
@pytest.mark.parametrize("queues", [None, ["slow"], ["slow", None]], ids=["all", "one", "several"])
def test_pending_ones_in_other_hands_are_not_waited_for(store, queues):
    executions = [store.create(make_execution(age, queue="slow")) for age in range(6)]
    claim = {"workflow_ids": ["orders"], "queues": queues}

    with Holding([execution.id for execution in executions[:3]]):
        first = store.claim_pending("worker", MINUTE, 2, **claim)
        second = store.claim_pending("worker", MINUTE, 9, **claim)
        third = store.claim_pending("worker", MINUTE, 9, **claim)
    fourth = store.claim_pending("worker", MINUTE, 9, **claim)

    found = [[execution.id for execution in batch] for batch in (first, second, third, fourth)]
    ids = [execution.id for execution in executions]
    assert found == [ids[3:5], ids[5:], [], ids[:3]]


# The clock --------------------------------------------------------------------------------------


def test_the_time_is_that_of_the_database(store, travel):
    before = clock.now()
    travel(3600)

    now = store.now()

    has_clock = settings.TEST_DB != "sqlite"
    assert (now - before < MINUTE) is has_clock
    assert now.utcoffset().total_seconds() == 0


@needs_row_locks
def test_where_others_hold_all_of_it_nothing_is_decided(store):
    held = [halted(store, {"wake_at": at(age)}) for age in range(3)]

    with Holding([execution.id for execution in held]):
        assert store.wake_due(NOW) == []

    assert names(store.wake_due(NOW)) == names(held)
