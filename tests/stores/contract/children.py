"""Children: written below a parent that still drives them, deleted with or before it."""

import secrets
from dataclasses import replace

import pytest

from django_workflows.core import clock
from django_workflows.core.chores import GRACE, ChoreKind
from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import PayloadError, StaleExecution
from tests.stores.contract.records import (
    ENDED,
    MALFORMED_IDS,
    MINUTE,
    UNKNOWN_ID,
    make_child,
    make_execution,
)
from tests.stores.contract.threads import Threads


def names(executions):
    return [execution.id for execution in executions]


def raise_fence(stored, waits):
    cancelled = replace(stored, status=ExecutionStatus.CANCELLED, fence=stored.fence + 1)
    return Change(execution=cancelled)


class ChildrenContract(Threads):
    # Create -------------------------------------------------------------------------------------

    def test_children_are_written_and_returned_in_their_order(self, store):
        parent = store.create(make_execution())
        children = [make_child(parent, item, age=9 - item) for item in (2, 0, 1)]

        created = store.create_children(parent.id, 0, children)

        assert created == children
        assert [store.load(child.id) for child in children] == children

    def test_children_of_a_parent_that_runs(self, store):
        parent = store.create(make_execution())
        claimed = store.claim(parent.id, "worker", MINUTE)
        child = make_child(parent)

        assert store.create_children(parent.id, claimed.fence, [child]) == [child]
        assert store.load(parent.id) == claimed

    def test_no_children_at_all(self, store):
        parent = store.create(make_execution())

        assert store.create_children(parent.id, 0, []) == []

    def test_children_that_are_there_are_returned_as_they_are_stored(self, store):
        parent = store.create(make_execution())
        first = make_child(parent, 0, input={"n": 1})
        store.create_children(parent.id, 0, [first])
        claimed = store.claim(first.id, "worker", MINUTE)
        second = make_child(parent, 1)

        created = store.create_children(
            parent.id, 0, [second, replace(first, input={"n": 2}, workflow_id="other")]
        )

        assert created == [second, claimed]
        assert store.load(first.id) == claimed
        assert sorted(store.execution_ids(parent=parent.id)) == sorted(names([first, second]))

    def test_children_have_no_history_yet(self, store):
        parent = store.create(make_execution())
        child = make_child(parent)

        store.create_children(parent.id, 0, [child])

        assert store.entries(child.id) == store.waits(child.id) == []

    def test_a_thousand_children_at_one_go(self, store):
        parent = store.create(make_execution())
        children = [make_child(parent, item, age=item) for item in range(1000)]

        created = store.create_children(parent.id, 0, children)

        assert names(created) == names(children)
        assert store.execution_ids(parent=parent.id, limit=2000) == names(children)[::-1]

    @pytest.mark.parametrize("fence", [0, 1, 3])
    def test_children_below_another_fence_are_refused(self, store, fence):
        parent = store.create(make_execution(fence=2))
        known = make_child(parent)
        store.create_children(parent.id, 2, [known])

        with pytest.raises(StaleExecution) as caught:
            store.create_children(parent.id, fence, [make_child(parent, 1), known])

        assert (caught.value.execution_id, caught.value.fence) == (parent.id, fence)
        assert store.execution_ids(parent=parent.id) == [known.id]

    def test_children_of_a_driver_that_was_replaced_are_refused(self, store):
        parent = store.create(make_execution())
        first = store.claim(parent.id, "first", ENDED)
        store.claim(parent.id, "second", MINUTE)

        with pytest.raises(StaleExecution):
            store.create_children(parent.id, first.fence, [make_child(parent)])

        assert store.execution_ids() == [parent.id]

    @pytest.mark.parametrize("parent", [UNKNOWN_ID, *MALFORMED_IDS], ids=repr)
    def test_children_of_an_unknown_parent_are_refused(self, store, parent):
        child = make_child(make_execution(id=UNKNOWN_ID))

        with pytest.raises(StaleExecution) as caught:
            store.create_children(parent, 0, [child])

        assert caught.value.execution_id == parent
        assert store.execution_ids() == []

    def test_children_of_a_deleted_parent_are_refused(self, store):
        parent = store.create(make_execution())
        store.delete(parent.id)

        with pytest.raises(StaleExecution):
            store.create_children(parent.id, 0, [make_child(parent)])

        assert store.execution_ids() == []

    def test_children_of_whom_one_cannot_be_kept_are_not_written(self, store):
        parent = store.create(make_execution())
        children = [make_child(parent, 0), make_child(parent, 1, input={"value": object()})]

        with pytest.raises(PayloadError):
            store.create_children(parent.id, 0, children)

        assert store.execution_ids() == [parent.id]

    def test_children_created_at_once_are_created_once(self, store):
        parent = store.create(make_execution())
        children = [make_child(parent, item) for item in range(5)]

        outcomes = self.together(lambda number: store.create_children(parent.id, 0, children))

        assert outcomes == [children] * 8
        assert sorted(store.execution_ids(parent=parent.id)) == sorted(names(children))

    def test_children_of_several_callers_at_once_are_all_created(self, store):
        parent = store.create(make_execution())
        children = [make_child(parent, item) for item in range(8)]

        outcomes = self.together(
            lambda number: store.create_children(parent.id, 0, [children[number]])
        )

        assert outcomes == [[child] for child in children]
        assert len(store.execution_ids(parent=parent.id)) == 8

    def test_no_child_is_added_once_the_fence_is_raised(self, store):
        for _ in range(5):
            parent = store.create(make_execution(workflow_id=secrets.token_hex(4)))
            seen = []

            def work(number, parent=parent, seen=seen):
                if number == 0:
                    store.transition(parent.id, raise_fence)
                    # As whoever cancels does: after the commit, look for whom to cancel.
                    seen.extend(store.execution_ids(parent=parent.id))
                    return []
                added = []
                for item in range(5):
                    child = make_child(parent, 10 * number + item)
                    try:
                        added += names(store.create_children(parent.id, 0, [child]))
                    except StaleExecution:
                        break
                return added

            outcomes = self.together(work)

            added = [name for names_added in outcomes for name in names_added]
            assert sorted(store.execution_ids(parent=parent.id)) == sorted(seen) == sorted(added)

    # Find ---------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({}, ["d", "c", "b", "a"]),
            ({"parent_step": "each"}, ["c", "b", "a"]),
            ({"parent_step": "each[1]/each"}, ["d"]),
            ({"parent_step": "Each"}, []),
            ({"parent_step": "nothing"}, []),
            ({"parent_step": "each", "status": "failed"}, ["b"]),
            ({"parent_step": "each", "status": ExecutionStatus.PENDING}, ["c", "a"]),
            ({"parent_step": "each", "workflow_id": "other"}, ["c"]),
            ({"parent_step": "each", "workflow_id": "other", "status": "failed"}, []),
            ({"parent_step": "each", "limit": 2}, ["c", "b"]),
            ({"parent_step": "each", "limit": 0}, []),
        ],
        ids=str,
    )
    def test_execution_ids_of_children_newest_first(self, store, wanted, found):
        parent, stranger = store.create(make_execution()), store.create(make_execution())
        children = {
            "a": make_child(parent, 0, age=1),
            "b": make_child(parent, 1, age=2, status=ExecutionStatus.FAILED),
            "c": make_child(parent, 2, age=3, workflow_id="other"),
            "d": make_child(parent, 0, age=4, parent_step="each[1]/each"),
        }
        store.create_children(parent.id, 0, list(children.values()))
        store.create_children(stranger.id, 0, [make_child(stranger)])

        listed = store.execution_ids(parent=parent.id, **wanted)

        assert listed == [children[name].id for name in found]

    @pytest.mark.parametrize(
        ("wanted", "found"),
        [
            ({"except_steps": ["each"]}, ["f", "e", "d"]),
            ({"except_steps": ["each", "two"]}, ["f", "d"]),  # one of no step is of none of them
            ({"except_steps": {"Each", "nothing"}}, ["f", "e", "d", "c", "b", "a"]),
            ({"except_steps": []}, ["f", "e", "d", "c", "b", "a"]),
            ({"except_steps": ["each"], "limit": 2}, ["f", "e"]),  # it limits what is left
            ({"except_steps": ["two"], "limit": 3}, ["f", "d", "c"]),
            ({"except_steps": ["each"], "limit": 0}, []),
            ({"except_steps": ["two"], "parent_step": "each"}, ["c", "b", "a"]),
            ({"except_steps": ["each"], "parent_step": "each"}, []),
            ({"except_steps": ["two"], "status": ExecutionStatus.FAILED}, ["f", "b"]),
        ],
        ids=str,
    )
    def test_execution_ids_of_children_but_those_of_some_steps(self, store, wanted, found):
        parent = store.create(make_execution())
        children = {
            "a": make_child(parent, 0, age=1),
            "b": make_child(parent, 1, age=2, status=ExecutionStatus.FAILED),
            "c": make_child(parent, 2, age=3),
            "d": make_child(parent, 0, age=4, parent_step="each[1]/each"),
            "e": make_child(parent, 0, age=5, parent_step="two", status=ExecutionStatus.FAILED),
            "f": make_child(parent, 3, age=6, parent_step=None, status=ExecutionStatus.FAILED),
        }
        store.create_children(parent.id, 0, list(children.values()))

        listed = store.execution_ids(parent=parent.id, **wanted)

        assert listed == [children[name].id for name in found]

    def test_execution_ids_of_all_but_the_children_of_some_steps(self, store):
        parent = store.create(make_execution())
        other = store.create(make_child(parent, parent_step="two", age=1))
        store.create(make_child(parent, age=2))

        assert store.execution_ids(except_steps=["each"]) == [other.id, parent.id]

    # Delete -------------------------------------------------------------------------------------

    def test_a_deleted_child_leaves_its_parent_a_chore(self, store):
        parent = store.create(make_execution())
        child = store.create(make_child(parent))
        store.create(make_child(child))
        before = clock.now()

        store.delete(child.id)

        (chore,) = store.chores(clock.now() + MINUTE)
        assert (chore.kind, chore.execution_id) == (ChoreKind.MEET, parent.id)
        assert before + GRACE <= chore.due_at <= clock.now() + GRACE

    def test_a_deleted_child_of_no_step_leaves_its_parent_a_chore(self, store):
        parent = store.create(make_execution())
        child = store.create(make_execution(parent=parent.id))

        store.delete(child.id)

        assert [chore.execution_id for chore in store.chores(clock.now() + MINUTE)] == [parent.id]

    def test_a_deleted_parent_leaves_no_chore(self, store):
        parent = store.create(make_execution())
        child = store.create(make_child(parent))
        store.create(make_child(child))

        store.delete(parent.id)

        assert store.chores(clock.now() + MINUTE) == []

    def test_deleting_what_is_not_there_leaves_no_chore(self, store):
        parent = store.create(make_execution())
        child = store.create(make_child(parent))
        store.delete(child.id)
        before = store.chores(clock.now() + MINUTE)

        store.delete(child.id)

        assert store.chores(clock.now() + MINUTE) == before

    def test_no_child_outlives_a_parent_that_is_deleted_at_once(self, store):
        for _ in range(5):
            parent = store.create(make_execution())

            def work(number, parent=parent):
                if number == 0:
                    return store.delete(parent.id)
                return names(store.create_children(parent.id, 0, [make_child(parent, number)]))

            outcomes = self.together(work)

            refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
            assert outcomes[0] is True
            assert {type(error) for error in refused} <= {StaleExecution}
            assert store.execution_ids() == []

    def test_a_parent_and_its_children_may_be_deleted_at_once(self, store):
        for _ in range(5):
            parent = store.create(make_execution())
            children = [make_child(parent, item) for item in range(7)]
            family = [parent, *store.create_children(parent.id, 0, children)]

            outcomes = self.together(lambda number, family=family: store.delete(family[number].id))

            assert outcomes[0] is True
            assert set(outcomes) <= {True, False}
            assert store.execution_ids() == []
