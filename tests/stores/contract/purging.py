"""Retention: trees of what ended long ago go, whole and with all that hangs on them."""

from dataclasses import replace

import pytest

from django_workflows.core import clock
from django_workflows.core.decisions import Change, take
from django_workflows.core.execution import FINAL_STATUSES, ExecutionStatus
from django_workflows.core.store import Ended, Purged
from django_workflows.core.waits import WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionNotFound, StaleExecution
from tests.stores.contract.records import (
    MALFORMED_IDS,
    UNKNOWN_ID,
    at,
    halted,
    make_child,
    make_chore,
    make_entry,
    make_event,
    make_execution,
)
from tests.stores.contract.threads import Threads

LIVE = sorted(set(ExecutionStatus) - FINAL_STATUSES)

#: Before this, what the tests store has ended; what ends while they run has not.
BEFORE = at(1000)


def ended(store, age=0, **values):
    """Store an execution that ended ``age`` seconds after the first, and return it."""
    known = {"status": ExecutionStatus.COMPLETED, "finished_at": at(age)}
    return store.create(make_execution(**known | values))


def ended_child(store, parent, item=0, **values):
    known = {"status": ExecutionStatus.COMPLETED, "finished_at": at(0)}
    child = make_child(parent, item, **known | values)
    (stored,) = store.create_children(parent.id, parent.fence, [child])
    return stored


def live_child(store, parent, **values):
    return ended_child(store, parent, **{"status": LIVE[0], "finished_at": None} | values)


def took_an_event(store):
    """Store an execution that waited for an event, took it and ended, and return it."""
    execution = halted(store, {"kind": WaitKind.EVENT, "key": "paid:7"})
    event = make_event()
    store.add_event(event)
    (wait,) = store.waits(execution.id)
    store.transition(execution.id, take(wait.id, event))

    def end(stored, waits):
        done = replace(stored, status=ExecutionStatus.COMPLETED, finished_at=at(0))
        taken = [replace(one, status=WaitStatus.TAKEN) for one in waits]
        return Change(execution=done, waits=taken)

    return store.transition(execution.id, end)


def begin_again(stored, waits):
    return Change(execution=replace(stored, status=ExecutionStatus.PENDING, finished_at=None))


def names(found):
    return [one.id for one in found]


class PurgingContract(Threads):
    # What has ended -----------------------------------------------------------------------------

    def test_what_has_ended_is_listed_by_its_end(self, store):
        second, first = ended(store, 2), ended(store, 1)

        found = store.ended(BEFORE)

        assert found == [Ended(id=one.id, finished_at=one.finished_at) for one in (first, second)]

    def test_nothing_has_ended_in_an_empty_store(self, store):
        assert store.ended(BEFORE) == []

    @pytest.mark.parametrize("status", sorted(FINAL_STATUSES))
    def test_every_end_is_listed(self, store, status):
        execution = ended(store, status=status)

        assert names(store.ended(BEFORE)) == [execution.id]

    @pytest.mark.parametrize("status", LIVE)
    def test_what_is_under_way_is_not_listed(self, store, status):
        ended(store, status=status, finished_at=None)

        assert store.ended(BEFORE) == []

    def test_what_ended_at_the_moment_or_later_is_not_listed(self, store):
        ended(store, 5)
        just = ended(store, 4.999_999)

        assert names(store.ended(at(5))) == [just.id]

    def test_a_child_is_not_listed_and_its_parent_is(self, store):
        parent = ended(store, 5)
        ended_child(store, parent)

        assert names(store.ended(BEFORE)) == [parent.id]

    def test_a_child_of_a_parent_under_way_is_not_listed(self, store):
        ended_child(store, store.create(make_execution()))

        assert store.ended(BEFORE) == []

    def test_what_has_ended_by_workflow(self, store):
        orders, refunds, others = (
            ended(store, age, workflow_id=name)
            for age, name in enumerate(["orders", "refunds", "others"])
        )

        assert names(store.ended(BEFORE, workflow_ids=["refunds"])) == [refunds.id]
        assert names(store.ended(BEFORE, workflow_ids={"others", "orders"})) == [
            orders.id,
            others.id,
        ]
        assert store.ended(BEFORE, workflow_ids=["unknown"]) == []
        assert store.ended(BEFORE, workflow_ids=[]) == []

    def test_what_has_ended_by_status(self, store):
        by_status = {
            status: ended(store, age, status=status).id
            for age, status in enumerate(sorted(FINAL_STATUSES))
        }

        for status, execution_id in by_status.items():
            assert names(store.ended(BEFORE, statuses=[status])) == [execution_id]
        assert names(store.ended(BEFORE, statuses=FINAL_STATUSES)) == [*by_status.values()]
        assert store.ended(BEFORE, statuses=[]) == []

    def test_what_has_ended_page_by_page(self, store):
        stored = [ended(store, age) for age in (0, 1, 1, 1, 2)]

        pages, page = [], store.ended(BEFORE, 2)
        while page:
            pages.append(names(page))
            page = store.ended(BEFORE, 2, after=page[-1])

        assert [len(page) for page in pages] == [2, 2, 1]
        expected = sorted(stored, key=lambda one: (one.finished_at, one.id))
        assert [name for page in pages for name in page] == names(expected)

    def test_a_page_goes_past_many_that_are_not_asked_for(self, store):
        for age in range(30):
            ended(store, age)
        wanted = [ended(store, age, workflow_id="refunds").id for age in (3, 12, 28)]

        first = store.ended(BEFORE, 2, workflow_ids=["refunds"])

        assert names(first) == wanted[:2]
        assert names(store.ended(BEFORE, 2, workflow_ids=["refunds"], after=first[-1])) == [
            wanted[2]
        ]

    def test_what_is_begun_again_has_not_ended_any_more(self, store):
        execution = ended(store, status=ExecutionStatus.FAILED)

        store.transition(execution.id, begin_again)

        assert store.ended(BEFORE) == []

    # Purge --------------------------------------------------------------------------------------

    def test_a_purged_execution_is_gone_with_its_history(self, store):
        execution = ended(store)
        store.record(make_entry(execution))
        kept = ended(store, 1)
        store.record(make_entry(kept))

        purged = store.purge([execution.id], BEFORE)

        assert purged == Purged(roots=1, executions=1)
        with pytest.raises(ExecutionNotFound):
            store.load(execution.id)
        assert store.entries(execution.id) == []
        assert names(store.find()) == names(store.ended(BEFORE)) == [kept.id]
        assert len(store.entries(kept.id)) == 1

    def test_several_at_one_go(self, store):
        stored = [ended(store, age) for age in range(5)]

        assert store.purge(names(stored), BEFORE) == Purged(roots=5, executions=5)
        assert store.find() == []

    def test_nothing_is_purged_of_nothing(self, store):
        assert store.purge([], BEFORE) == Purged(roots=0, executions=0)

    @pytest.mark.parametrize("execution_id", [UNKNOWN_ID, *MALFORMED_IDS], ids=repr)
    def test_what_is_gone_is_passed_over(self, store, execution_id):
        execution = ended(store)

        purged = store.purge([execution_id, execution.id], BEFORE)

        assert purged == Purged(roots=2, executions=1)

    @pytest.mark.parametrize("status", LIVE)
    def test_what_is_under_way_is_left(self, store, status):
        execution = ended(store, status=status)

        assert store.purge([execution.id], BEFORE) == Purged(roots=1, executions=0)
        assert store.load(execution.id) == execution

    def test_what_was_begun_again_meanwhile_is_left(self, store):
        execution = ended(store, status=ExecutionStatus.FAILED)
        listed = names(store.ended(BEFORE))
        store.transition(execution.id, begin_again)

        assert store.purge(listed, BEFORE) == Purged(roots=1, executions=0)
        assert store.load(execution.id).status == ExecutionStatus.PENDING

    def test_what_ended_later_is_left(self, store):
        execution = ended(store, 5)

        assert store.purge([execution.id], at(5)) == Purged(roots=1, executions=0)
        assert store.load(execution.id) == execution

    def test_waits_and_chores_go_too(self, store):
        execution, other = took_an_event(store), took_an_event(store)
        for each in (execution, other):
            chores = [make_chore(each), make_chore(each)]
            store.transition(
                each.id,
                lambda stored, waits, chores=chores: Change(execution=stored, chores=chores),
            )

        assert store.purge([execution.id], BEFORE) == Purged(roots=1, executions=1)

        assert store.waits(execution.id) == []
        assert len(store.waits(other.id)) == 1
        left = store.chores(clock.now())
        assert [chore.execution_id for chore in left] == [other.id, other.id]
        for chore in left:
            store.finish_chore(chore.id)
        assert store.chores(clock.now()) == []

    def test_an_event_that_nobody_took_stays(self, store):
        execution = halted(store, {"kind": WaitKind.EVENT, "key": "paid:7"})
        event = make_event()
        store.add_event(event)
        done = replace(execution, status=ExecutionStatus.CANCELLED, finished_at=at(0))
        store.transition(execution.id, lambda stored, waits: Change(execution=done))

        assert store.purge([execution.id], BEFORE).executions == 1

        assert store.next_event("paid:7") == event

    def test_an_idempotency_key_is_free_again(self, store):
        old = ended(store, idempotency_key="7", ctx={"old": True})
        store.purge([old.id], BEFORE)

        new = store.create(make_execution(idempotency_key="7"))

        assert new.id != old.id
        assert store.load(new.id).ctx == {}

    # Trees --------------------------------------------------------------------------------------

    def test_a_tree_goes_whole(self, store):
        root = ended(store)
        children = [ended_child(store, root, item) for item in range(3)]
        grandchild = ended_child(store, children[1], status=ExecutionStatus.FAILED)
        below = ended_child(store, grandchild, status=ExecutionStatus.CANCELLED)
        for one in (root, *children, grandchild, below):
            store.record(make_entry(one))
        other = ended(store)

        purged = store.purge([root.id], BEFORE)

        assert purged == Purged(roots=1, executions=6)
        assert names(store.find()) == [other.id]
        assert store.entries(below.id) == []
        assert store.with_children([root.id, children[1].id, grandchild.id]) == set()
        # Whoever would have been told of a child's end went with it.
        assert store.chores(clock.now()) == []

    def test_children_that_ended_lately_go_with_a_root_that_ended_long_ago(self, store):
        root = ended(store)
        ended_child(store, root, finished_at=at(2000))

        assert store.purge([root.id], BEFORE).executions == 2

    @pytest.mark.parametrize("status", LIVE)
    def test_a_root_with_a_child_under_way_is_left_whole(self, store, status):
        root = ended(store)
        done = ended_child(store, root)
        live = live_child(store, root, item=1, status=status)
        other = ended(store)

        purged = store.purge([root.id, other.id], BEFORE)

        assert purged == Purged(roots=2, executions=1)
        assert sorted(names(store.find())) == sorted([root.id, done.id, live.id])

    def test_a_root_with_a_grandchild_under_way_is_left_whole(self, store):
        root = ended(store)
        child = ended_child(store, root)
        live_child(store, child)

        assert store.purge([root.id], BEFORE) == Purged(roots=1, executions=0)
        assert len(store.find()) == 3

    def test_a_child_is_never_purged_by_itself(self, store):
        waiting, over = store.create(make_execution()), ended(store)
        children = [ended_child(store, parent) for parent in (waiting, over)]

        assert store.purge(names(children), BEFORE) == Purged(roots=2, executions=0)
        assert len(store.find()) == 4

    def test_no_child_is_begun_below_a_purged_parent(self, store):
        root = ended(store)
        store.purge([root.id], BEFORE)

        with pytest.raises(StaleExecution):
            store.create_children(root.id, root.fence, [make_child(root)])

    def test_a_batch_is_of_so_many_executions(self, store):
        roots = [ended(store, age) for age in range(6)]
        for root in roots[2:]:
            for item in range(4):
                ended_child(store, root, item)
        left, sizes = names(roots), []

        while left:
            purged = store.purge(left, BEFORE, 10)
            sizes.append(purged.executions)
            left = left[purged.roots :]

        assert sum(sizes) == 22
        assert max(sizes) <= 10
        assert store.find() == []

    def test_a_tree_larger_than_a_batch_goes_whole(self, store):
        root, other = ended(store), ended(store, 1)
        for item in range(9):
            ended_child(store, root, item)

        assert store.purge([root.id, other.id], BEFORE, 5) == Purged(roots=1, executions=10)
        assert names(store.find()) == [other.id]

    def test_a_thousand_children_and_their_history(self, store):
        root = ended(store)
        store.create_children(
            root.id,
            0,
            [
                make_child(root, item, status=ExecutionStatus.COMPLETED, finished_at=at(0))
                for item in range(1000)
            ],
        )

        assert store.purge([root.id], BEFORE) == Purged(roots=1, executions=1001)
        assert store.find() == []

    # Races --------------------------------------------------------------------------------------

    def test_of_several_purges_at_once_each_execution_is_counted_once(self, store):
        stored = [ended(store, age) for age in range(40)]
        for root in stored[:5]:
            ended_child(store, root)

        purged = self.together(lambda number: store.purge(names(stored), BEFORE), 4)

        # Those that one passed over, because another held them, that one has deleted.
        assert sum(one.executions for one in purged) == 45
        assert store.find() == []

    def test_a_tree_that_is_begun_again_meanwhile_is_left_or_gone_whole(self, store):
        for _ in range(10):
            root = ended(store, status=ExecutionStatus.FAILED)
            child = ended_child(store, root)
            store.transition(child.id, lambda stored, waits: Change(execution=stored))

            def work(number, root=root):
                if number:
                    return store.purge([root.id], BEFORE)
                return store.transition(root.id, begin_again)

            retried, purged = self.together(work, 2)

            found = set(store.execution_ids(limit=9))
            if isinstance(retried, ExecutionNotFound):
                assert purged.executions == 2
                assert found == set()
            else:
                assert purged.executions == 0
                assert found == {root.id, child.id}
                store.delete(root.id)

    def test_a_child_that_is_begun_again_meanwhile_is_left_or_gone_with_its_tree(self, store):
        for _ in range(10):
            root = ended(store)
            child = ended_child(store, root, status=ExecutionStatus.FAILED)

            def work(number, root=root, child=child):
                if number:
                    return store.purge([root.id], BEFORE)
                return store.transition(child.id, begin_again)

            retried, purged = self.together(work, 2)

            is_gone = isinstance(retried, ExecutionNotFound)
            assert is_gone or retried.status == ExecutionStatus.PENDING
            assert purged.executions == (2 if is_gone else 0)
            assert len(store.execution_ids()) == (0 if is_gone else 2)
            store.delete(root.id)
