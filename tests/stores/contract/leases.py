from dataclasses import replace
from datetime import timedelta

import pytest

from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import ExecutionNotFound
from tests.stores.contract.records import ENDED, MINUTE, UNKNOWN_ID, at, make_execution
from tests.stores.contract.threads import Threads


class LeasesContract(Threads):
    def test_claim_takes_a_pending_execution(self, store):
        execution = store.create(make_execution(ctx={"kept": 1}))
        before = clock.now()

        claimed = store.claim(execution.id, "worker", MINUTE)

        assert claimed.status == ExecutionStatus.RUNNING
        assert (claimed.lease_owner, claimed.fence, claimed.claims) == ("worker", 1, 1)
        assert before <= claimed.lease_expires_at - MINUTE <= clock.now()
        assert before <= claimed.started_at <= clock.now()
        assert claimed.ctx == {"kept": 1}

    def test_claim_returns_what_is_stored(self, store):
        execution = store.create(make_execution())

        claimed = store.claim(execution.id, "worker", MINUTE)

        assert store.load(execution.id) == claimed

    def test_claim_leaves_a_live_lease(self, store):
        execution = store.create(make_execution())
        first = store.claim(execution.id, "first", MINUTE)

        assert store.claim(execution.id, "second", MINUTE) is None
        assert store.load(execution.id) == first

    def test_claim_takes_over_an_expired_lease(self, store):
        execution = store.create(make_execution())
        store.claim(execution.id, "first", ENDED)

        claimed = store.claim(execution.id, "second", MINUTE)

        assert (claimed.lease_owner, claimed.fence, claimed.claims) == ("second", 2, 2)
        assert claimed.status == ExecutionStatus.RUNNING

    def test_claim_keeps_the_first_started_at(self, store):
        execution = store.create(make_execution())
        first = store.claim(execution.id, "first", ENDED)

        second = store.claim(execution.id, "second", MINUTE)

        assert second.started_at == first.started_at

    def test_claim_grows_from_what_is_stored(self, store):
        execution = store.create(make_execution(fence=4, claims=2, started_at=at(1)))

        claimed = store.claim(execution.id, "worker", MINUTE)

        assert (claimed.fence, claimed.claims, claimed.started_at) == (5, 3, at(1))

    @pytest.mark.parametrize("status", ["halted", "completed", "failed", "cancelled"])
    def test_claim_refuses_what_may_not_be_driven(self, store, status):
        execution = store.create(
            make_execution(status=ExecutionStatus(status), lease_expires_at=at(0))
        )

        assert store.claim(execution.id, "worker", MINUTE) is None
        assert store.load(execution.id) == execution

    def test_claim_of_an_unknown_id_is_refused(self, store):
        with pytest.raises(ExecutionNotFound):
            store.claim(UNKNOWN_ID, "worker", MINUTE)

    def test_claim_at_once_gives_it_to_one(self, store):
        execution = store.create(make_execution())

        claims = self.together(lambda number: store.claim(execution.id, str(number), MINUTE))

        (winner,) = [claimed for claimed in claims if claimed is not None]
        assert store.load(execution.id) == winner
        assert winner.fence == 1

    def test_claim_of_an_expired_lease_at_once_gives_it_to_one(self, store):
        execution = store.create(make_execution())
        store.claim(execution.id, "late", ENDED)

        claims = self.together(lambda number: store.claim(execution.id, str(number), MINUTE))

        assert [claimed.fence for claimed in claims if claimed] == [2]

    def test_renew_prolongs_the_lease(self, store):
        execution = store.create(make_execution())
        claimed = store.claim(execution.id, "worker", MINUTE)

        assert store.renew(execution.id, claimed.fence, 5 * MINUTE) is True

        renewed = store.load(execution.id)
        assert renewed.lease_expires_at - claimed.lease_expires_at > timedelta(minutes=3)
        assert replace(renewed, lease_expires_at=None) == replace(claimed, lease_expires_at=None)

    def test_renew_saves_an_expired_lease_that_nobody_took(self, store):
        execution = store.create(make_execution())
        store.claim(execution.id, "worker", ENDED)

        store.renew(execution.id, 1, MINUTE)

        assert store.claim(execution.id, "other", MINUTE) is None

    def test_renew_with_an_old_fence_changes_nothing(self, store):
        execution = store.create(make_execution())
        store.claim(execution.id, "first", ENDED)
        second = store.claim(execution.id, "second", MINUTE)

        assert store.renew(execution.id, 1, 5 * MINUTE) is False
        assert store.load(execution.id) == second

    def test_renew_of_what_is_not_running_changes_nothing(self, store):
        execution = store.create(make_execution())
        claimed = store.claim(execution.id, "worker", MINUTE)
        done = replace(
            claimed, status=ExecutionStatus.COMPLETED, lease_owner=None, lease_expires_at=None
        )
        store.checkpoint(done, [], claimed.fence, previous=claimed)

        assert store.renew(execution.id, claimed.fence, MINUTE) is False
        assert store.load(execution.id).lease_expires_at is None

    def test_renew_of_an_unknown_id_says_no(self, store):
        assert store.renew(UNKNOWN_ID, 0, MINUTE) is False

    def test_renew_of_a_claim_and_a_takeover_at_once_agree(self, store):
        execution = store.create(make_execution())
        store.claim(execution.id, "late", ENDED)

        def act(number):
            if number:
                return store.claim(execution.id, "taker", MINUTE) is not None
            return store.renew(execution.id, 1, MINUTE)

        outcomes = self.together(act, 2)

        assert sorted(outcomes) == [False, True]
