from dataclasses import replace

import pytest

from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change, take
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import WaitStatus
from django_workflows.exceptions import InvalidTransition
from tests.stores.contract.inbox import TOPIC, asking
from tests.stores.contract.records import (
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


class Refused(Exception):
    """Raised by a decision."""


def ended(stored, waits):
    """Decide on an execution once; refuse it a second time."""
    if stored.status == ExecutionStatus.CANCELLED:
        raise InvalidTransition(stored.id, stored.status, "end", "under way")
    return Change(
        execution=replace(stored, status=ExecutionStatus.CANCELLED, fence=stored.fence + 1),
        entries=[make_entry(stored)],
        waits=[replace(wait, status=WaitStatus.WITHDRAWN) for wait in waits],
        chores=[Chore(kind=ChoreKind.CANCEL_CHILDREN, execution_id=stored.id)],
    )


class BatchesContract(Threads):
    """transition_all(): many decided as transition() decides one."""

    def test_transition_all_writes_each(self, store):
        asleep = [halted(store, {"step": "a"}, {"step": "b"}) for _ in range(3)]
        other = halted(store, {})

        changed = store.transition_all([one.id for one in asleep], ended)

        assert [one.id for one in changed] == [one.id for one in asleep]
        for one in changed:
            assert one.status == "cancelled"
            assert store.load(one.id) == one
            assert [wait.status for wait in store.waits(one.id)] == ["withdrawn"] * 2
            assert len(store.entries(one.id)) == 1
        left = store.chores(changed[0].created_at.replace(year=2999))
        assert {chore.execution_id for chore in left} == {one.id for one in asleep}
        assert store.load(other.id) == other

    def test_transition_all_passes_over_what_is_refused_or_gone(self, store):
        first, second = (store.create(make_execution()) for _ in range(2))
        store.transition(first.id, ended)

        changed = store.transition_all([first.id, UNKNOWN_ID, "no id", second.id], ended)

        assert [one.id for one in changed] == [second.id]
        assert len(store.entries(first.id)) == 1

    def test_transition_all_gives_events(self, store):
        event = make_event()
        store.add_event(event)
        execution, wait = asking(store)

        (given,) = store.transition_all([execution.id], take(wait.id, event))

        assert given.status == "pending"
        assert store.next_event(TOPIC) is None
        assert [one.status for one in store.waits(execution.id)] == ["settled"]

    def test_transition_all_of_nothing(self, store):
        assert store.transition_all([], ended) == []

    def test_transition_all_decides_the_others_where_one_raises(self, store):
        rows = [store.create(make_execution()) for _ in range(3)]

        def decide(stored, waits):
            if stored.id == rows[1].id:
                raise Refused
            return ended(stored, waits)

        with pytest.raises(Refused):
            store.transition_all([row.id for row in rows], decide)

        found = [str(store.load(row.id).status) for row in rows]
        assert found == ["cancelled", "pending", "cancelled"]

    def test_transition_all_at_once_decides_each_once(self, store):
        ids = [store.create(make_execution()).id for _ in range(12)]
        decided = []

        def work(number):
            mine = ids[number:] + ids[:number]
            decided.extend(one.id for one in store.transition_all(mine, ended))

        assert self.together(work) == [None] * 8
        assert sorted(decided) == sorted(ids)
        assert all(len(store.entries(one)) == 1 for one in ids)

    def test_finish_chores_crosses_off_these_and_no_others(self, store):
        chores = [make_chore() for _ in range(3)]
        execution = store.create(make_execution())
        store.transition(execution.id, lambda one, _: Change(execution=one, chores=chores))

        store.finish_chores([chores[0].id, UNKNOWN_ID, "no id", chores[2].id])
        store.finish_chores([])

        assert [chore.id for chore in store.chores(at(10**6))] == [chores[1].id]

    def test_with_children_names_parents_only(self, store):
        parent, other = (store.create(make_execution()) for _ in range(2))
        child = store.create(make_child(parent))
        asked = [parent.id, other.id, child.id, UNKNOWN_ID, "no id"]

        assert store.with_children(asked) == {parent.id}
        assert store.with_children([]) == set()
