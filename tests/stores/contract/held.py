"""Children that are held until it is their turn."""

from dataclasses import replace

import pytest

from django_workflows.core import clock
from django_workflows.core.decisions import Change
from tests.stores.contract.fanout import OVER, UNDER_WAY, S, items, make_parent, tallied
from tests.stores.contract.records import MINUTE, make_child, make_execution, make_wait
from tests.stores.contract.threads import Threads


def hold(store, parent, *items, **values):
    """Store held children of ``parent``, and return them."""
    known = {"status": S.HALTED, "recover_to": "start", "halt_data": {"held": True}}
    children = [make_child(parent, item, **known | values) for item in items]
    return store.create_children(parent.id, parent.fence, children)


def end(store, child, status=S.COMPLETED):
    decide = lambda stored, waits: Change(execution=replace(stored, status=status))  # noqa: E731
    store.transition(child.id, decide)


class HeldContract(Threads):
    def test_held_ones_become_pending_by_item(self, store):
        parent = make_parent(store)
        held = hold(store, parent, 10, 2, 0, 9)
        before = clock.now()

        released = store.release_held(parent.id, "each", 3)

        assert items(released) == [0, 2, 9]
        assert released == [store.load(child.id) for child in released]
        by_item = {child.item: child for child in held}
        for child in released:
            assert before <= child.updated_at <= clock.now()
            assert child == replace(
                by_item[child.item],
                status=S.PENDING,
                recover_to=None,
                halt_data=None,
                updated_at=child.updated_at,
            )
        assert store.load(by_item[10].id) == by_item[10]

    def test_released_ones_are_found_by_who_drives_them(self, store):
        parent = store.create(make_execution(status=S.HALTED, fence=1))
        hold(store, parent, 0, 1, workflow_id="children")

        (released,) = store.release_held(parent.id, "each", 1)

        listed = [pending.id for pending in store.pending(clock.now() + MINUTE)]
        (claimed,) = store.claim_pending("worker", MINUTE, 9, workflow_ids=["children"])
        assert listed == [released.id] == [claimed.id]
        assert claimed.fence == 1

    @pytest.mark.parametrize(
        ("statuses", "most", "released"),
        [
            ([], 0, []),
            ([], 2, [90, 91]),
            ([], 9, [90, 91, 92]),
            *(([status], 2, [90]) for status in UNDER_WAY),
            *(([status], 2, [90, 91]) for status in OVER),
            (UNDER_WAY, 3, []),
            (UNDER_WAY, 2, []),
            (UNDER_WAY, 4, [90]),
            ([*UNDER_WAY, *OVER], 5, [90, 91]),
        ],
        ids=str,
    )
    def test_no_more_are_under_way_than_asked_for(self, store, statuses, most, released):
        parent = make_parent(store, *statuses)
        hold(store, parent, 90, 91, 92)

        assert items(store.release_held(parent.id, "each", most)) == released

    def test_a_halted_one_that_waits_is_under_way(self, store):
        parent = make_parent(store)
        waiting, *_ = hold(store, parent, 0, 1, 2)
        wait = make_wait(waiting)
        store.checkpoint(waiting, [], 0, [wait])

        released = store.release_held(parent.id, "each", 2)

        assert items(released) == [1]
        assert store.load(waiting.id) == waiting
        assert store.waits(waiting.id) == [wait]

    def test_a_halted_one_whose_wait_is_closed_is_held(self, store):
        parent = make_parent(store)
        (child,) = hold(store, parent, 0)
        wait = make_wait(child)
        store.checkpoint(child, [], 0, [wait])
        store.checkpoint(child, [], 0, [replace(wait, status="withdrawn")])

        assert items(store.release_held(parent.id, "each", 1)) == [0]

    def test_a_halted_one_that_was_claimed_once_is_not_held(self, store):
        parent = make_parent(store)
        (child,) = hold(store, parent, 0, fence=1)

        assert store.release_held(parent.id, "each", 5) == []
        assert store.load(child.id) == child

    def test_held_ones_of_other_steps_and_parents_stay(self, store):
        parent, other = make_parent(store), make_parent(store)
        hold(store, other, 0)
        hold(store, parent, 1, parent_step="each[0]/each")
        hold(store, parent, 2)

        assert items(store.release_held(parent.id, "each", 5)) == [2]
        assert tallied(store, other) == {S.HALTED: 1}
        assert tallied(store, parent, "each[0]/each") == {S.HALTED: 1}

    def test_the_next_follow_those_that_ended(self, store):
        parent = make_parent(store)
        hold(store, parent, *range(5))
        first = store.release_held(parent.id, "each", 2)
        full = store.release_held(parent.id, "each", 2)

        end(store, first[1])
        second = store.release_held(parent.id, "each", 2)
        for child, status in ((first[0], S.FAILED), (second[0], S.CANCELLED)):
            end(store, child, status)
        third = store.release_held(parent.id, "each", 2)

        assert (items(first), full) == ([0, 1], [])
        assert (items(second), items(third)) == ([2], [3, 4])

    def test_releasing_at_once_keeps_to_the_most(self, store):
        parent = make_parent(store)
        hold(store, parent, *range(12))

        outcomes = self.together(lambda number: store.release_held(parent.id, "each", 5))

        released = [child.item for batch in outcomes for child in batch]
        assert sorted(released) == [0, 1, 2, 3, 4]
        assert tallied(store, parent) == {S.PENDING: 5, S.HALTED: 7}

    def test_releasing_and_ending_at_once_keeps_to_the_most(self, store):
        parent = make_parent(store)
        hold(store, parent, *range(20))
        seen = []

        def work(number):
            mine = []
            for _ in range(5):
                released = store.release_held(parent.id, "each", 3)
                seen.append(tallied(store, parent).get(S.PENDING, 0))
                for child in released:
                    end(store, child)
                mine += items(released)
            return mine

        outcomes = self.together(work)

        released = [item for mine in outcomes for item in mine]
        assert sorted(released) == list(range(len(released)))
        assert len(released) >= 3
        assert max(seen) <= 3
        assert tallied(store, parent).get(S.COMPLETED) == len(released)
