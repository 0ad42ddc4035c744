"""Purge: batch by batch over what has ended, and what it leaves."""

import pytest

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.purging import Batch, Purge
from django_workflows.core.store import Purged
from django_workflows.exceptions import StoreUnavailable
from django_workflows.stores.memory import MemoryStore
from tests.stores.contract.purging import BEFORE, ended, ended_child, live_child


@pytest.fixture
def store():
    return MemoryStore()


def batches(store, purge, limit):
    """Return the batches of one round."""
    done = [purge.batch(store, BEFORE, limit)]
    while not done[-1].is_last:
        done.append(purge.batch(store, BEFORE, limit))
    return done


def test_nothing_to_purge_is_the_last_batch(store):
    assert batches(store, Purge(), 2) == [Batch(0, is_last=True)]


def test_all_that_has_ended_goes_batch_by_batch(store):
    for age in range(5):
        ended(store, age)

    done = batches(store, Purge(), 2)

    assert done == [
        Batch(2, is_last=False),
        Batch(2, is_last=False),
        Batch(1, is_last=True),
    ]
    assert store.find() == []


def test_the_longest_ago_goes_first(store):
    kept, _ = ended(store, 9), ended(store, 1)

    Purge().batch(store, BEFORE, 1)

    assert [one.id for one in store.find()] == [kept.id]


def test_what_cannot_go_keeps_nothing_else(store):
    stuck = [ended(store, age) for age in range(4)]
    for root in stuck:
        live_child(store, root)
    for age in range(4, 7):
        ended(store, age)

    done = batches(store, Purge(), 2)

    assert [batch.deleted for batch in done] == [0, 0, 2, 1]
    assert len(store.find()) == 8


def test_the_next_round_begins_anew(store):
    purge, root = Purge(), ended(store)
    child = live_child(store, root)
    assert batches(store, purge, 2) == [Batch(0, is_last=True)]
    store.delete(child.id)

    assert batches(store, purge, 2) == [Batch(1, is_last=True)]


def test_a_page_of_large_trees_is_more_than_one_batch(store):
    for age in range(3):
        root = ended(store, age)
        for item in range(1500):
            ended_child(store, root, item)

    done = batches(store, Purge(), 3)

    assert [batch.deleted for batch in done] == [1501, 1501, 1501]


def test_what_is_asked_for_goes_and_what_is_below_it(store):
    parent = ended(store, workflow_id="refunds", status=ExecutionStatus.FAILED)
    ended_child(store, parent, workflow_id="payments")
    ended(store, workflow_id="refunds")
    ended(store, status=ExecutionStatus.FAILED)
    purge = Purge(["refunds"], [ExecutionStatus.FAILED])

    assert purge.count(store, BEFORE) == Purged(roots=1, executions=2)
    assert batches(store, purge, 9) == [Batch(2, is_last=True)]
    assert len(store.find()) == 2


def test_counting_deletes_nothing_and_agrees_with_the_purge(store):
    for age in range(5):
        ended(store, age)
    tree, left = ended(store), ended(store)
    child = ended_child(store, tree)
    ended_child(store, child)
    live_child(store, ended_child(store, left))
    before = store.find()

    counted = Purge().count(store, BEFORE, 2)

    assert counted == Purged(roots=6, executions=8)
    assert store.find() == before
    assert sum(batch.deleted for batch in batches(store, Purge(), 2)) == 8


class Refusing(MemoryStore):
    """Refuses to delete some executions, as a foreign key of the project's may."""

    bad = frozenset()

    def purge(self, roots, before, most=2000):
        if self.bad & set(roots):
            raise ValueError("something refers to it")
        return super().purge(roots, before, most)


@pytest.mark.parametrize("bad", [{0}, {2}, {4}, {1, 3}, {0, 1, 2, 3, 4}])
def test_what_cannot_be_deleted_keeps_nothing_else(bad, caplog):
    store, purge = Refusing(), Purge()
    ids = [ended(store, age=age).id for age in range(5)]
    store.bad = {ids[number] for number in bad}

    batches(store, purge, 5)

    assert {one.id for one in store.find()} == store.bad
    assert {record.execution_id for record in caplog.records} == store.bad
    assert "cannot be purged; does something refer to it?" in caplog.text


def test_store_that_is_away_is_not_taken_for_a_refusal():
    class Away(MemoryStore):
        def purge(self, roots, before, most=2000):
            raise StoreUnavailable("the store", "it is away")

    store = Away()
    ended(store)

    with pytest.raises(StoreUnavailable):
        Purge().batch(store, BEFORE, 5)
