"""How the children of one step stand, as a whole and one by one."""

from dataclasses import replace

import pytest

from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.store import ChildrenState
from django_workflows.core.waits import Answer
from tests.stores.contract.records import (
    MINUTE,
    UNKNOWN_ID,
    make_child,
    make_entry,
    make_execution,
    make_wait,
)
from tests.stores.contract.threads import Threads
from tests.values import SAMPLES, exact

S = ExecutionStatus
UNDER_WAY = [S.PENDING, S.RUNNING, S.HALTED]
OVER = [S.COMPLETED, S.FAILED, S.CANCELLED]


def make_parent(store, *statuses):
    """Store a parent with a child of each status, and of another step one of every status."""
    parent = store.create(make_execution())
    for item, status in enumerate(statuses):
        store.create(make_child(parent, item, status=status, fence=1))
    for status in S:
        store.create(make_child(parent, parent_step="other", status=status))
    return parent


def tallied(store, parent, step="each"):
    return {status: count for status, count in store.tally(parent.id, step).items() if count}


def items(children):
    return [child.item for child in children]


class FanoutContract(Threads):
    # How they stand -----------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("statuses", "live", "lost"),
        [
            ([], False, False),
            *(([status], True, False) for status in UNDER_WAY),
            ([S.COMPLETED], False, False),
            ([S.FAILED], False, True),
            ([S.CANCELLED], False, True),
            ([S.COMPLETED, S.FAILED], False, True),
            ([S.RUNNING, S.CANCELLED, S.COMPLETED], True, True),
            ([S.COMPLETED, S.HALTED], True, False),
        ],
        ids=str,
    )
    def test_children_state_says_whether_any_lives_or_is_lost(self, store, statuses, live, lost):
        parent = make_parent(store, *statuses)

        assert store.children_state(parent.id, "each") == ChildrenState(live=live, lost=lost)

    @pytest.mark.parametrize("statuses", [[], [S.PENDING], [*S, *OVER, S.FAILED]], ids=str)
    def test_a_tally_counts_by_status(self, store, statuses):
        parent = make_parent(store, *statuses)

        assert tallied(store, parent) == {status: statuses.count(status) for status in statuses}

    def test_nothing_is_known_of_the_children_of_nobody(self, store):
        assert store.children_state(UNKNOWN_ID, "each") == ChildrenState(live=False, lost=False)
        assert dict(store.tally(UNKNOWN_ID, "each")) == {}
        assert store.children(UNKNOWN_ID, "each") == []
        assert store.release_held(UNKNOWN_ID, "each", 5) == []

    def test_a_tally_follows_a_child_through_its_life(self, store):
        parent = store.create(make_execution())
        (child,) = store.create_children(parent.id, 0, [make_child(parent)])
        seen = [tallied(store, parent)]
        claimed = store.claim(child.id, "worker", MINUTE)
        seen.append(tallied(store, parent))
        asleep = replace(claimed, status=S.HALTED)
        store.suspend(asleep, [], claimed.fence, [make_wait(claimed)])
        seen.append(tallied(store, parent))
        store.settle(child.id, None, Answer())
        seen.append(tallied(store, parent))
        claimed = store.claim(child.id, "worker", MINUTE)
        done = replace(claimed, status=S.COMPLETED)
        store.checkpoint(done, [make_entry(done)], done.fence, previous=claimed)
        seen.append(tallied(store, parent))
        store.delete(child.id)
        seen.append(tallied(store, parent))

        lives = [S.PENDING, S.RUNNING, S.HALTED, S.PENDING, S.COMPLETED]
        assert seen == [*({status: 1} for status in lives), {}]

    # One by one ---------------------------------------------------------------------------------

    def test_children_come_by_item(self, store):
        parent = make_parent(store)
        for item in (10, 2, 0, 11, 1, 9):
            store.create(make_child(parent, item, age=20 - item))

        assert items(store.children(parent.id, "each")) == [0, 1, 2, 9, 10, 11]

    def test_children_keep_what_a_parent_reads_of_them(self, store):
        parent = make_parent(store)
        child = store.create(
            make_child(
                parent,
                7,
                workflow_id="other",
                status=S.FAILED,
                result=[SAMPLES],
                error="ValueError: it's “wrong”",
                ctx={"b": 1, "a": SAMPLES},
            )
        )

        (read,) = store.children(parent.id, "each")

        for name in ("id", "workflow_id", "status", "item", "result", "error", "ctx", "parent"):
            assert exact(getattr(read, name)) == exact(getattr(child, name)), name

    # Superseded ---------------------------------------------------------------------------------

    def test_superseded_are_those_that_were_lost(self, store):
        parent = make_parent(store, *S)
        before = store.children(parent.id, "each")

        store.supersede(parent.id, "each")

        kept = store.children(parent.id, "each")
        assert [child.id for child in kept] == [
            child.id for child in before if child.status not in {S.FAILED, S.CANCELLED}
        ]
        assert store.children_state(parent.id, "each") == ChildrenState(live=True, lost=False)
        assert S.FAILED not in tallied(store, parent)

    def test_superseded_children_are_their_parents_still(self, store):
        parent = make_parent(store)
        lost = store.create(make_child(parent, 3, status=S.FAILED, error="ValueError: no"))

        store.supersede(parent.id, "each")

        assert store.load(lost.id) == replace(lost, parent_step=None)
        assert lost.id in store.execution_ids(parent=parent.id)
        assert lost.id not in store.execution_ids(parent=parent.id, parent_step="each")

    def test_what_is_superseded_is_of_one_step_and_one_parent(self, store):
        parent, other = make_parent(store, S.FAILED), make_parent(store, S.FAILED)

        store.supersede(parent.id, "each")

        assert tallied(store, parent) == {}
        assert tallied(store, other) == {S.FAILED: 1}
        assert tallied(store, parent, "other") == dict.fromkeys(S, 1)

    def test_superseding_twice_changes_nothing(self, store):
        parent = make_parent(store, S.COMPLETED, S.FAILED)
        store.supersede(parent.id, "each")

        store.supersede(parent.id, "each")

        assert tallied(store, parent) == {S.COMPLETED: 1}
