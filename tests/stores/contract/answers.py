from dataclasses import replace

import pytest

from django_workflows.core.execution import EntryAction, ExecutionStatus
from django_workflows.core.waits import Answer, Cause, WaitKind, WaitStatus
from django_workflows.exceptions import (
    AlreadyResumed,
    ExecutionNotFound,
    NotAllowed,
    NotResumable,
)
from tests.stores.contract.records import (
    MINUTE,
    UNKNOWN_ID,
    at,
    halted,
    make_execution,
    make_wait,
)
from tests.stores.contract.threads import Threads

APPROVAL = {"step": "review", "kind": WaitKind.APPROVAL}


class AnswersContract(Threads):
    def test_an_answer_makes_a_halted_execution_pending(self, store):
        execution = halted(store, {"step": "review"})

        settled = store.settle(execution.id, None, Answer(response="yes"))

        assert settled == replace(
            execution,
            status=ExecutionStatus.PENDING,
            recover_to=None,
            halt_data=None,
            claims=0,
            updated_at=settled.updated_at,
        )
        assert settled.updated_at > execution.updated_at
        assert store.load(execution.id) == settled

    def test_an_answer_is_kept_on_its_wait(self, store):
        execution = halted(store, {"step": "review"})
        (wait,) = store.waits(execution.id)
        answer = Answer(
            response={"n": (1, {2})}, approved=None, by="alice", at=at(9), cause=Cause.EVENT
        )

        store.settle(execution.id, "review", answer)

        (kept,) = store.waits(execution.id)
        assert kept == replace(wait, status=WaitStatus.SETTLED, settled_at=at(9), answers=(answer,))
        assert kept.answer == answer

    def test_an_answer_is_an_entry(self, store):
        execution = halted(store, {"step": "review"})

        store.settle(execution.id, None, Answer(response="yes", by="alice", at=at(9)))

        (entry,) = store.entries(execution.id)
        assert (entry.step_id, entry.action) == ("review", EntryAction.RESUMED)
        assert (entry.by, entry.timestamp) == ("alice", at(9))
        assert entry.output == {"approved": None, "response": "yes"}

    def test_an_answer_leaves_a_running_execution_running(self, store):
        execution = store.create(make_execution())
        claimed = store.claim(execution.id, "worker", MINUTE)
        store.checkpoint(claimed, [], claimed.fence, [make_wait(claimed)])

        store.settle(execution.id, None, Answer())

        assert store.load(execution.id) == claimed
        assert [wait.status for wait in store.waits(execution.id)] == ["settled"]

    @pytest.mark.parametrize("step", [None, "review"])
    def test_a_second_answer_is_told_who_was_first(self, store, step):
        execution = halted(store, {"step": "review"})
        store.settle(execution.id, step, Answer(by="alice", at=at(9)))

        with pytest.raises(AlreadyResumed) as caught:
            store.settle(execution.id, step, Answer(by="bob"))

        assert (caught.value.step, caught.value.by, caught.value.at) == ("review", "alice", at(9))
        assert len(store.entries(execution.id)) == 1

    def test_answers_at_once_have_one_winner(self, store):
        execution = halted(store, {"step": "review"})

        outcomes = self.together(
            lambda number: store.settle(execution.id, None, Answer(by=f"user {number}"))
        )

        losers = [outcome for outcome in outcomes if isinstance(outcome, AlreadyResumed)]
        (entry,) = store.entries(execution.id)
        assert len(losers) == 7
        assert {loser.by for loser in losers} == {entry.by}

    def test_several_open_waits_are_listed(self, store):
        execution = halted(store, {"step": "left/review"}, {"step": "right/review"})

        with pytest.raises(NotResumable) as caught:
            store.settle(execution.id, None, Answer())

        assert caught.value.open_steps == ["left/review", "right/review"]

    def test_an_answer_by_step_leaves_the_other_wait(self, store):
        execution = halted(store, {"step": "left"}, {"step": "right"})

        store.settle(execution.id, "right", Answer())

        statuses = {wait.step: wait.status for wait in store.waits(execution.id)}
        assert statuses == {"left": "open", "right": "settled"}

    def test_an_answer_by_the_id_of_its_wait(self, store):
        execution = halted(store, {"step": "left"}, {"step": "right"})
        left, _ = store.waits(execution.id)

        store.settle(execution.id, left.id, Answer())

        statuses = {wait.step: wait.status for wait in store.waits(execution.id)}
        assert statuses == {"left": "settled", "right": "open"}

    def test_an_answer_to_a_step_that_does_not_wait_is_refused(self, store):
        execution = halted(store, {"step": "left"})

        with pytest.raises(NotResumable, match="'other'"):
            store.settle(execution.id, "other", Answer())

    def test_an_answer_where_nothing_waits_is_refused(self, store):
        execution = store.create(make_execution())

        with pytest.raises(NotResumable, match="pending"):
            store.settle(execution.id, None, Answer())

    def test_an_answer_to_an_unknown_execution_is_refused(self, store):
        with pytest.raises(ExecutionNotFound):
            store.settle(UNKNOWN_ID, None, Answer())

    def test_an_answer_that_is_not_permitted_leaves_the_wait_open(self, store):
        execution = halted(store, {"step": "review"})
        asked = []

        def permit(stored, wait):
            asked.append((stored, wait))
            raise NotAllowed("managers only")

        (wait,) = store.waits(execution.id)
        with pytest.raises(NotAllowed, match="managers only"):
            store.settle(execution.id, None, Answer(), permit=permit)

        assert asked == [(execution, wait)]
        assert store.load(execution.id) == execution
        assert store.waits(execution.id) == [wait]
        assert store.entries(execution.id) == []

    def test_a_permitted_answer_is_given(self, store):
        execution = halted(store, {"step": "review"})

        settled = store.settle(execution.id, None, Answer(), permit=lambda stored, wait: None)

        assert settled.status == ExecutionStatus.PENDING

    def test_a_permit_may_ask_the_store(self, store):
        parent = store.create(make_execution())
        execution = halted(store, {"step": "review"}, parent=parent.id)
        seen = []

        def permit(stored, wait):
            seen.append((store.load(stored.parent), store.waits(stored.id), store.find(limit=1)))

        store.settle(execution.id, None, Answer(), permit=permit)

        ((asked, waits, newest),) = seen
        assert asked == parent
        assert [wait.status for wait in waits] == ["open"]
        assert len(newest) == 1

    def test_an_approval_takes_as_many_as_it_requires(self, store):
        execution = halted(store, APPROVAL | {"required": 2})

        first = store.settle(execution.id, None, Answer(approved=True, by="alice"))
        open_after_first = store.waits(execution.id, status=WaitStatus.OPEN)
        second = store.settle(execution.id, None, Answer(approved=True, by="bob"))

        assert (first.status, second.status) == ("halted", "pending")
        assert [answer.by for answer in open_after_first[0].answers] == ["alice"]
        (wait,) = store.waits(execution.id)
        assert [answer.by for answer in wait.answers] == ["alice", "bob"]

    def test_an_approval_counts_nobody_twice(self, store):
        execution = halted(store, APPROVAL | {"required": 2})
        store.settle(execution.id, None, Answer(approved=True, by="alice", at=at(9)))

        with pytest.raises(AlreadyResumed) as caught:
            store.settle(execution.id, None, Answer(approved=True, by="alice"))

        assert (caught.value.by, caught.value.at) == ("alice", at(9))
        assert store.load(execution.id).status == ExecutionStatus.HALTED

    def test_approvals_at_once_are_all_counted(self, store):
        execution = halted(store, APPROVAL | {"required": 8})

        outcomes = self.together(
            lambda number: store.settle(
                execution.id, None, Answer(approved=True, by=f"user {number}")
            )
        )

        assert sorted(outcome.status for outcome in outcomes) == ["halted"] * 7 + ["pending"]
        assert len(store.waits(execution.id)[0].answers) == 8

    def test_one_rejection_settles_an_approval(self, store):
        execution = halted(store, APPROVAL | {"required": 2})

        settled = store.settle(execution.id, None, Answer(approved=False, by="alice"))

        assert settled.status == ExecutionStatus.PENDING

    def test_an_approval_asks_for_yes_or_no(self, store):
        execution = halted(store, APPROVAL)

        with pytest.raises(NotResumable, match="approved=True or False"):
            store.settle(execution.id, None, Answer(response="well"))

        assert store.load(execution.id) == execution

    def test_a_timeout_settles_an_approval(self, store):
        execution = halted(store, APPROVAL | {"required": 2})

        store.settle(execution.id, None, Answer(cause=Cause.TIMEOUT))

        assert store.waits(execution.id)[0].status == WaitStatus.SETTLED
