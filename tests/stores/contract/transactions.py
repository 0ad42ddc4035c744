"""What a store with ``supports_atomic`` promises, and what one without it does in its place."""

import threading
from contextlib import contextmanager, suppress
from dataclasses import replace

import pytest

from django_workflows.core.decisions import Change, take
from django_workflows.core.presence import Presence
from django_workflows.exceptions import ConfigurationError, StaleExecution
from tests.stores.contract.records import (
    ENDED,
    FULL_PRESENCE,
    MINUTE,
    at,
    halted,
    make_child,
    make_chore,
    make_entry,
    make_event,
    make_execution,
    make_wait,
)
from tests.stores.contract.threads import Threads


class StepFailed(Exception):
    """What a step of a user raises."""


def claimed(store):
    execution = store.create(make_execution())
    return store.claim(execution.id, "worker", MINUTE)


@contextmanager
def failing(store):
    """Open an atomic block that a step fails in."""
    with suppress(StepFailed), store.atomic():
        yield
        raise StepFailed


class TransactionsContract(Threads):
    @pytest.fixture
    def shared(self, store):
        """The store, where a step's own writes may share its transaction."""
        if not store.supports_atomic:
            pytest.skip(f"{type(store).__name__} has no transaction to share")
        return store

    def test_a_checkpoint_in_atomic_is_kept_with_it(self, shared):
        execution = claimed(shared)
        after = replace(execution, ctx={"done": True})

        with shared.atomic():
            shared.checkpoint(after, [make_entry(after)], after.fence, [make_wait(after)])

        assert shared.load(execution.id) == after
        assert len(shared.entries(execution.id)) == 1
        assert len(shared.waits(execution.id)) == 1

    def test_a_checkpoint_in_atomic_is_undone_with_it(self, shared):
        execution = claimed(shared)
        after = replace(execution, ctx={"done": True})

        with failing(shared):
            shared.checkpoint(after, [make_entry(after)], after.fence, [make_wait(after)])

        assert shared.load(execution.id) == execution
        assert shared.entries(execution.id) == []
        assert shared.waits(execution.id) == []

    def test_all_that_a_thread_writes_in_atomic_is_undone_with_it(self, shared):
        old = shared.create(make_execution(idempotency_key="old"))
        asleep = halted(shared, {"key": "paid:7"})
        (wait,) = shared.waits(asleep.id)
        key = {"idempotency_key": "new"}
        event, chore = make_event(), make_chore()
        shared.add_event(event, chore)
        shared.announce(FULL_PRESENCE)

        with failing(shared):
            shared.create(make_execution(**key))
            shared.create_children(asleep.id, asleep.fence, [make_child(asleep)])
            shared.record(make_entry(old))
            shared.transition(asleep.id, take(wait.id, event))
            shared.finish_chore(chore.id)
            shared.add_event(make_event(-1), make_chore())
            shared.dismiss(FULL_PRESENCE.id)
            shared.announce(Presence())
            shared.remember_graph("orders", "1", {})
            shared.delete(old.id)

        assert shared.load(old.id) == old
        assert shared.load(asleep.id) == asleep
        assert shared.entries(old.id) == shared.entries(asleep.id) == []
        assert shared.graph("orders", "1") is None
        assert len(shared.find_waits(key="paid:7")) == 1
        assert shared.next_event("paid:7") == event
        assert shared.chores(at(1000)) == [chore]
        assert shared.present() == [FULL_PRESENCE]
        assert shared.execution_ids(parent=asleep.id) == []
        again = make_execution(**key)
        assert shared.create(again) == again
        assert shared.create(make_execution(idempotency_key="old")) == old

    def test_atomic_reads_what_it_wrote(self, shared):
        execution = claimed(shared)

        with shared.atomic():
            shared.checkpoint(replace(execution, ctx={"n": 1}), [], execution.fence)
            inside = shared.load(execution.id).ctx

        assert inside == {"n": 1}

    def test_a_stale_checkpoint_undoes_the_whole_block(self, shared):
        execution = shared.create(make_execution())
        first = shared.claim(execution.id, "first", ENDED)
        second = shared.claim(execution.id, "second", MINUTE)
        other = make_execution()

        def late_step():
            with shared.atomic():
                shared.create(other)
                shared.checkpoint(first, [make_entry(first)], first.fence)

        with pytest.raises(StaleExecution):
            late_step()

        assert shared.execution_ids() == [execution.id]
        assert shared.load(execution.id) == second

    def test_a_known_key_in_atomic_leaves_the_block_usable(self, shared):
        first = shared.create(make_execution(idempotency_key="7"))
        other = make_execution(age=1)

        with shared.atomic():
            created = shared.create(make_execution(idempotency_key="7"))
            shared.create(other)

        assert created == first
        assert shared.execution_ids() == [other.id, first.id]

    def test_an_inner_atomic_is_undone_by_itself(self, shared):
        outer, inner = make_execution(), make_execution()

        with shared.atomic():
            shared.create(outer)
            with failing(shared):
                shared.create(inner)

        assert shared.execution_ids() == [outer.id]

    def test_others_do_not_see_what_is_not_kept_yet(self, shared):
        execution = claimed(shared)
        reached, seen = threading.Event(), []

        def look():
            reached.wait(30)
            seen.append(shared.load(execution.id).ctx)
            self.leave_thread()

        thread = threading.Thread(target=look)
        thread.start()
        with failing(shared):
            shared.checkpoint(replace(execution, ctx={"n": 1}), [], execution.fence)
            reached.set()
        reached.set()
        thread.join()

        assert seen == [{}]

    def test_atomic_blocks_at_once_lose_nothing(self, shared):
        execution = shared.create(make_execution(ctx={"n": 0}))

        def increment(stored, waits):
            return Change(execution=replace(stored, ctx={"n": stored.ctx["n"] + 1}))

        def work(number):
            with shared.atomic():
                shared.transition(execution.id, increment)

        assert self.together(work) == [None] * 8
        assert shared.load(execution.id).ctx == {"n": 8}

    def test_driving_inside_atomic_is_refused(self, shared):
        with shared.atomic(), pytest.raises(ConfigurationError):
            shared.refuse_open_transaction()

    def test_driving_outside_of_atomic_is_not_refused(self, shared):
        shared.refuse_open_transaction()

        with shared.atomic():
            pass

        shared.refuse_open_transaction()

    def test_a_callback_outside_of_atomic_is_called_at_once(self, store):
        called = []

        store.on_commit(lambda: called.append(1))

        assert called == [1]

    def test_a_callback_in_atomic_is_called_once_it_is_kept(self, shared):
        called = []

        with shared.atomic():
            with shared.atomic():
                shared.on_commit(lambda: called.append(shared.execution_ids()))
            execution = shared.create(make_execution())
            before = list(called)

        assert before == []
        assert called == [[execution.id]]

    def test_a_callback_of_a_block_that_is_undone_is_not_called(self, shared):
        called = []

        with failing(shared):
            shared.on_commit(lambda: called.append(1))

        assert called == []

    def test_a_callback_of_an_inner_block_that_is_undone_is_not_called(self, shared):
        called = []

        with shared.atomic():
            with failing(shared):
                shared.on_commit(lambda: called.append("inner"))
            shared.on_commit(lambda: called.append("outer"))

        assert called == ["outer"]
