from dataclasses import replace

import pytest

from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Answer, WaitKind, WaitStatus
from django_workflows.exceptions import ExecutionNotFound, PayloadError, StaleExecution
from tests.stores.contract.executions import FIELDS
from tests.stores.contract.records import (
    CHANGED,
    ENDED,
    FULL_WAIT,
    MINUTE,
    PARENT,
    UNKNOWN_ID,
    at,
    halted,
    make_entry,
    make_execution,
    make_wait,
)
from tests.stores.contract.threads import Threads
from tests.values import exact


class Refused(Exception):
    """Raised by a decision."""


def unchanged(execution, waits):
    return Change(execution=execution)


class TransitionsContract(Threads):
    @pytest.mark.parametrize("name", FIELDS)
    def test_transition_writes_every_field(self, store, name):
        store.create(PARENT)
        execution = store.create(make_execution())
        changed = replace(execution, **{name: CHANGED[name]})

        returned = store.transition(execution.id, lambda stored, waits: Change(execution=changed))

        assert returned == changed
        assert exact(store.load(execution.id).to_dict()) == exact(changed.to_dict())

    def test_transition_decides_on_what_is_stored(self, store):
        execution = store.create(make_execution(ctx={"n": 1}))
        seen = []

        def decide(stored, waits):
            seen.append((stored, list(waits)))
            return Change(execution=stored)

        store.transition(execution.id, decide)

        assert seen == [(execution, [])]

    def test_transition_sees_all_waits_oldest_first(self, store):
        execution = halted(store, {"step": "a"}, {"step": "b"}, {"step": "c"})
        store.settle(execution.id, "a", Answer())
        seen = []

        def decide(stored, waits):
            seen.extend((wait.step, wait.status) for wait in waits)
            return Change(execution=stored)

        store.transition(execution.id, decide)

        assert seen == [("a", "settled"), ("b", "open"), ("c", "open")]

    def test_transition_writes_entries_and_waits(self, store):
        execution = halted(store, {"step": "old"})
        (old,) = store.waits(execution.id)
        changed = replace(old, **FULL_WAIT)
        new = make_wait(execution, "new", age=1)
        entries = [make_entry(execution, "one"), make_entry(execution, "two")]

        store.transition(
            execution.id,
            lambda stored, waits: Change(execution=stored, entries=entries, waits=[changed, new]),
        )

        assert store.entries(execution.id) == entries
        kept = [exact(wait.to_dict()) for wait in store.waits(execution.id)]
        assert kept == [exact(changed.to_dict()), exact(new.to_dict())]

    def test_transition_that_raises_writes_nothing(self, store):
        execution = halted(store, {})

        def decide(stored, waits):
            raise Refused

        with pytest.raises(Refused):
            store.transition(execution.id, decide)

        assert store.load(execution.id) == execution
        assert store.transition(execution.id, unchanged) == execution

    def test_transition_to_what_cannot_be_kept_writes_nothing(self, store):
        execution = halted(store, {})

        def decide(stored, waits):
            return Change(
                execution=replace(stored, priority=9),
                entries=[make_entry(stored), make_entry(stored, input=object())],
                waits=[replace(waits[0], status=WaitStatus.TAKEN)],
            )

        with pytest.raises(PayloadError):
            store.transition(execution.id, decide)

        assert store.load(execution.id) == execution
        assert store.entries(execution.id) == []
        assert [wait.status for wait in store.waits(execution.id)] == ["open"]

    def test_transition_of_an_unknown_id_is_refused(self, store):
        with pytest.raises(ExecutionNotFound):
            store.transition(UNKNOWN_ID, unchanged)

    def test_transitions_at_once_lose_nothing(self, store):
        execution = store.create(make_execution(ctx={"n": 0}))

        def increment(stored, waits):
            entry = make_entry(stored, str(stored.ctx["n"]))
            return Change(
                execution=replace(stored, ctx={"n": stored.ctx["n"] + 1}), entries=[entry]
            )

        def work(number):
            for _ in range(3):
                store.transition(execution.id, increment)

        assert self.together(work) == [None] * 8
        assert store.load(execution.id).ctx == {"n": 24}
        steps = [entry.step_id for entry in store.entries(execution.id)]
        assert steps == [str(number) for number in range(24)]

    def test_transition_and_checkpoint_at_once_lose_no_entry(self, store):
        execution = store.create(make_execution())
        claimed = store.claim(execution.id, "worker", MINUTE)

        def work(number):
            entries = [make_entry(claimed, str(number))]
            if number % 2:
                store.checkpoint(claimed, entries, claimed.fence, previous=claimed)
            else:
                decide = lambda stored, waits: Change(execution=stored, entries=entries)  # noqa: E731
                store.transition(execution.id, decide)

        assert self.together(work) == [None] * 8
        assert len(store.entries(execution.id)) == 8

    # Suspend ------------------------------------------------------------------------------------

    def test_suspend_halts(self, store):
        claimed = _claimed(store)
        asleep = _asleep(claimed)
        wait = make_wait(claimed)

        written = store.suspend(asleep, [make_entry(claimed)], claimed.fence, [wait])

        assert written == asleep
        assert store.load(claimed.id) == asleep
        assert store.waits(claimed.id) == [wait]
        assert len(store.entries(claimed.id)) == 1

    def test_suspend_goes_on_where_an_answer_came_meanwhile(self, store):
        claimed = _claimed(store)
        early = make_wait(claimed, "early")
        store.checkpoint(claimed, [], claimed.fence, [early])
        store.settle(claimed.id, "early", Answer(response="quick", by="alice", at=at(1)))
        late = make_wait(claimed, "late", age=1)

        written = store.suspend(
            _asleep(claimed, ctx={"n": 1}), [make_entry(claimed)], claimed.fence, [late]
        )

        assert written == replace(claimed, ctx={"n": 1})
        assert store.load(claimed.id) == written
        assert [wait.status for wait in store.waits(claimed.id)] == ["settled", "open"]
        assert [entry.action for entry in store.entries(claimed.id)] == ["resumed", "completed"]

    def test_suspend_halts_where_it_takes_the_answer_itself(self, store):
        claimed = _claimed(store)
        early = make_wait(claimed, "early")
        store.checkpoint(claimed, [], claimed.fence, [early])
        store.settle(claimed.id, "early", Answer(response="quick", at=at(1)))
        taken = replace(early, status=WaitStatus.TAKEN)

        written = store.suspend(
            _asleep(claimed), [], claimed.fence, [taken, make_wait(claimed, "late", age=1)]
        )

        assert written.status == ExecutionStatus.HALTED
        assert [wait.status for wait in store.waits(claimed.id)] == ["taken", "open"]

    def test_suspend_keeps_the_answer_of_a_wait_that_it_withdraws(self, store):
        claimed = _claimed(store)
        early = make_wait(claimed, "early")
        store.checkpoint(claimed, [], claimed.fence, [early])
        answer = Answer(response="too late", by="alice", at=at(1))
        store.settle(claimed.id, "early", answer)

        withdrawn = replace(early, status=WaitStatus.WITHDRAWN)
        store.suspend(_asleep(claimed), [], claimed.fence, [withdrawn])

        (kept,) = store.waits(claimed.id)
        assert kept == replace(withdrawn, answers=(answer,), settled_at=at(1))

    def test_suspend_halts_with_one_of_two_approvals_given(self, store):
        claimed = _claimed(store)
        early = make_wait(claimed, "early", kind=WaitKind.APPROVAL, required=2)
        store.checkpoint(claimed, [], claimed.fence, [early])
        store.settle(claimed.id, None, Answer(approved=True, by="alice", at=at(1)))

        written = store.suspend(_asleep(claimed), [], claimed.fence)

        assert written.status == ExecutionStatus.HALTED

    def test_stale_suspend_writes_nothing_at_all(self, store):
        execution = store.create(make_execution())
        first = store.claim(execution.id, "first", ENDED)
        second = store.claim(execution.id, "second", MINUTE)

        with pytest.raises(StaleExecution):
            store.suspend(_asleep(first), [make_entry(first)], first.fence, [make_wait(first)])

        assert store.load(execution.id) == second
        assert store.entries(execution.id) == []
        assert store.waits(execution.id) == []

    def test_suspend_and_settle_at_once_never_sleep_on_an_answer(self, store):
        for _ in range(5):
            claimed = _claimed(store)
            store.checkpoint(claimed, [], claimed.fence, [make_wait(claimed)])

            def work(number, claimed=claimed):
                if number:
                    store.settle(claimed.id, None, Answer(by="alice"))
                else:
                    store.suspend(_asleep(claimed), [], claimed.fence)

            assert self.together(work, 2) == [None, None]
            assert store.load(claimed.id).status in {"pending", "running"}


def _claimed(store):
    execution = store.create(make_execution())
    return store.claim(execution.id, "worker", MINUTE)


def _asleep(claimed, **values):
    return replace(
        claimed,
        status=ExecutionStatus.HALTED,
        recover_to="review",
        halt_data={},
        lease_owner=None,
        lease_expires_at=None,
        **values,
    )
