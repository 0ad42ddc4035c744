"""What is still to be done after a commit: written in it, or not at all."""

from dataclasses import replace
from datetime import timedelta

import pytest

from django_workflows.core.chores import ChoreKind
from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.ids import new_id
from django_workflows.core.waits import Answer
from django_workflows.exceptions import PayloadError, StaleExecution
from tests.stores.contract.records import (
    FULL_CHORE,
    MINUTE,
    at,
    halted,
    make_chore,
    make_entry,
    make_event,
    make_execution,
    make_wait,
)
from tests.stores.contract.threads import Threads
from tests.values import PRAGUE, exact

NOW = at(1000)


def claimed(store):
    execution = store.create(make_execution())
    return store.claim(execution.id, "worker", MINUTE)


def leave(store, *chores):
    """Write ``chores`` in a transition of an execution of their own."""
    execution = store.create(make_execution())
    store.transition(execution.id, lambda stored, waits: Change(execution=stored, chores=chores))


class ChoresContract(Threads):
    def test_nothing_is_to_be_done_in_an_empty_store(self, store):
        assert store.chores(NOW) == []

    @pytest.mark.parametrize("kind", list(ChoreKind))
    def test_a_chore_keeps_every_field(self, store, kind):
        execution = store.create(make_execution())
        full = make_chore(execution, **FULL_CHORE | {"kind": kind})
        plain = make_chore(due=20, kind=kind)

        leave(store, plain, full)

        kept = [exact(chore.to_dict()) for chore in store.chores(NOW)]
        assert kept == [exact(full.to_dict()), exact(plain.to_dict())]

    # Read ---------------------------------------------------------------------------------------

    def test_chores_come_longest_due_first(self, store):
        later, first, middle = (make_chore(due=due) for due in (3, 1, 2))
        leave(store, later, first, middle)

        assert store.chores(NOW) == [first, middle, later]

    @pytest.mark.parametrize("moment", [NOW, NOW.astimezone(PRAGUE)], ids=["utc", "zone"])
    def test_a_chore_is_due_at_its_moment(self, store, moment):
        leave(store, make_chore(due_at=moment))

        assert len(store.chores(NOW)) == 1
        assert store.chores(NOW - timedelta(microseconds=1)) == []

    def test_chores_keep_to_their_limit(self, store):
        chores = [make_chore(due=due) for due in range(101)]
        leave(store, *chores)

        assert store.chores(NOW, 2) == chores[:2]
        assert store.chores(NOW, 0) == []
        assert store.chores(NOW) == chores[:100]

    # Cross off ----------------------------------------------------------------------------------

    def test_a_chore_that_is_finished_is_gone(self, store):
        done, left = make_chore(due=1), make_chore(due=2)
        leave(store, done, left)

        store.finish_chore(done.id)

        assert store.chores(NOW) == [left]

    def test_a_chore_may_be_finished_twice(self, store):
        done, left = make_chore(due=1), make_chore(due=2)
        leave(store, done, left)

        for chore_id in (done.id, done.id, new_id()):
            store.finish_chore(chore_id)

        assert store.chores(NOW) == [left]

    def test_a_chore_finished_at_once_is_gone(self, store):
        chore = make_chore()
        leave(store, chore)

        assert self.together(lambda number: store.finish_chore(chore.id)) == [None] * 8
        assert store.chores(NOW) == []

    # Written with a change ----------------------------------------------------------------------

    def test_a_checkpoint_writes_its_chores(self, store):
        execution = claimed(store)
        chores = [make_chore(execution, 1), make_chore(execution, 2, kind=ChoreKind.CANCEL)]
        after = replace(execution, ctx={"n": 1})

        store.checkpoint(after, [], execution.fence, chores=chores, previous=execution)

        assert store.chores(NOW) == chores
        assert store.load(execution.id) == after

    def test_a_checkpoint_of_nothing_else_writes_its_chores(self, store):
        execution = claimed(store)
        chore = make_chore(execution)

        store.checkpoint(execution, [], execution.fence, chores=[chore], previous=execution)

        assert store.chores(NOW) == [chore]

    def test_a_stale_checkpoint_writes_no_chores(self, store):
        execution = claimed(store)

        with pytest.raises(StaleExecution):
            store.checkpoint(execution, [], execution.fence - 1, chores=[make_chore(execution)])

        assert store.chores(NOW) == []

    def test_a_checkpoint_that_cannot_be_kept_writes_no_chores(self, store):
        execution = claimed(store)
        entries = [make_entry(execution, output=object())]

        with pytest.raises(PayloadError):
            store.checkpoint(execution, entries, execution.fence, chores=[make_chore(execution)])

        assert store.chores(NOW) == []

    def test_a_suspend_writes_its_chores(self, store):
        execution = claimed(store)
        chore = make_chore(execution)
        asleep = replace(execution, status=ExecutionStatus.HALTED)

        store.suspend(asleep, [], execution.fence, [make_wait(execution)], chores=[chore])

        assert store.chores(NOW) == [chore]

    def test_a_suspend_that_goes_on_writes_its_chores(self, store):
        execution = claimed(store)
        store.checkpoint(execution, [], execution.fence, [make_wait(execution)])
        store.settle(execution.id, None, Answer())
        chore = make_chore(execution)
        asleep = replace(execution, status=ExecutionStatus.HALTED)

        written = store.suspend(asleep, [], execution.fence, chores=[chore])

        assert written.status == ExecutionStatus.RUNNING
        assert store.chores(NOW) == [chore]

    def test_a_stale_suspend_writes_no_chores(self, store):
        execution = claimed(store)
        asleep = replace(execution, status=ExecutionStatus.HALTED)

        with pytest.raises(StaleExecution):
            store.suspend(asleep, [], execution.fence + 1, chores=[make_chore(execution)])

        assert store.chores(NOW) == []

    def test_a_transition_writes_its_chores(self, store):
        execution = halted(store, {})
        chores = [make_chore(execution, 1), make_chore(execution, 2)]

        store.transition(
            execution.id,
            lambda stored, waits: Change(execution=replace(stored, priority=9), chores=chores),
        )

        assert store.chores(NOW) == chores
        assert store.load(execution.id).priority == 9

    def test_a_transition_that_cannot_be_kept_writes_no_chores(self, store):
        execution = halted(store, {})

        def decide(stored, waits):
            entries = [make_entry(stored, output=object())]
            return Change(execution=stored, entries=entries, chores=[make_chore(stored)])

        with pytest.raises(PayloadError):
            store.transition(execution.id, decide)

        assert store.chores(NOW) == []

    def test_an_event_is_written_with_its_chore(self, store):
        event = make_event()
        chore = make_chore(kind=ChoreKind.DELIVER, target=event.topic)

        store.add_event(event, chore)

        assert store.chores(NOW) == [chore]
        assert store.next_event(event.topic) == event

    def test_an_event_without_a_chore_leaves_none(self, store):
        store.add_event(make_event())

        assert store.chores(NOW) == []

    def test_an_event_that_cannot_be_kept_leaves_no_chore(self, store):
        with pytest.raises(PayloadError):
            store.add_event(make_event(data=object()), make_chore())

        assert store.chores(NOW) == []

    def test_chores_of_transitions_at_once_are_all_written(self, store):
        execution = store.create(make_execution())
        chores = [make_chore(execution, due) for due in range(8)]

        def work(number):
            store.transition(
                execution.id,
                lambda stored, waits: Change(execution=stored, chores=[chores[number]]),
            )

        assert self.together(work) == [None] * 8
        assert store.chores(NOW) == chores
