import logging

import pytest

from django_workflows.core.store import Due, DueReason
from django_workflows.exceptions import StoreUnavailable
from django_workflows.stores.memory import MemoryStore
from tests.stores.contract import StoreContract
from tests.stores.contract.batches import ended
from tests.stores.contract.due import NOW
from tests.stores.contract.purging import BEFORE, took_an_event
from tests.stores.contract.records import UNKNOWN_ID, at, halted, make_execution


@pytest.fixture
def store():
    return MemoryStore()


class TestMemoryStore(StoreContract):
    pass


def test_an_event_is_purged_with_the_wait_that_took_it(store):
    purged, kept = took_an_event(store), took_an_event(store)

    store.purge([purged.id], BEFORE)

    (wait,) = store.waits(kept.id)
    assert [row.facts["taken_by"] for row in store._events.values()] == [wait.id]


# Waking, as every store does that does not do it better -----------------------------------------


class Broken(MemoryStore):
    """Fails with ``error`` on a transition of the execution ``broken``."""

    broken = ""
    error: Exception = ValueError("unreadable")

    def transition(self, execution_id, decide):
        if execution_id == self.broken:
            raise self.error
        return super().transition(execution_id, decide)


@pytest.fixture
def broken():
    return Broken()


def test_one_that_cannot_be_read_keeps_nobody_waiting(broken, caplog):
    asleep = [halted(broken, {"wake_at": at(age)}) for age in range(3)]
    broken.broken = asleep[0].id

    with caplog.at_level(logging.ERROR, "django_workflows"):
        woken = broken.wake_due(NOW)

    (record,) = caplog.records
    assert [execution.id for execution in woken] == [asleep[1].id, asleep[2].id]
    assert record.execution_id == asleep[0].id
    assert record.exc_info[1] is broken.error
    assert broken.load(asleep[0].id) == asleep[0]


def test_a_store_that_does_not_answer_is_not_asked_on(broken, caplog):
    asleep = [halted(broken, {"wake_at": at(age)}) for age in range(2)]
    broken.broken, broken.error = asleep[0].id, StoreUnavailable("memory", "gone")

    with pytest.raises(StoreUnavailable):
        broken.wake_due(NOW)

    assert caplog.records == []
    assert broken.load(asleep[1].id) == asleep[1]


def test_of_many_to_be_decided_none_is_asked_for_once_the_store_is_gone(broken):
    first, second = (broken.create(make_execution()) for _ in range(2))
    broken.broken, broken.error = first.id, StoreUnavailable("memory", "gone")

    with pytest.raises(StoreUnavailable):
        broken.transition_all([first.id, second.id], ended)

    assert broken.load(second.id) == second


def test_what_was_deleted_or_answered_meanwhile_is_passed_over(store, caplog, monkeypatch):
    asleep = halted(store, {"wake_at": at(1)})
    listed = [
        Due(reason=DueReason.DEADLINE, execution_id=UNKNOWN_ID),
        Due(reason=DueReason.DEADLINE, execution_id=asleep.id),
        *store.due(NOW),
    ]
    monkeypatch.setattr(store, "due", lambda now, limit: listed)

    woken = store.wake_due(NOW)

    assert [execution.id for execution in woken] == [asleep.id]
    assert caplog.records == []
