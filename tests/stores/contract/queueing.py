"""What waits for a driver: looked through in pages, and claimed in batches."""

from datetime import timedelta

import pytest

from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.store import Pending
from tests.stores.contract.records import (
    ENDED,
    MINUTE,
    at,
    halted,
    make_execution,
    running,
)
from tests.stores.contract.threads import Threads

ORDERS = ["orders"]


def names(executions):
    return [execution.id for execution in executions]


class QueueingContract(Threads):
    # Claims -------------------------------------------------------------------------------------

    def test_claim_pending_claims_as_claim_does(self, store):
        execution = store.create(make_execution(ctx={"kept": 1}))
        before = clock.now()

        (claimed,) = store.claim_pending("worker", MINUTE, 10, workflow_ids=ORDERS)

        assert claimed.id == execution.id
        assert claimed.status == ExecutionStatus.RUNNING
        assert (claimed.lease_owner, claimed.fence, claimed.claims) == ("worker", 1, 1)
        assert before <= claimed.lease_expires_at - MINUTE <= clock.now()
        assert before <= claimed.started_at <= clock.now()
        assert before <= claimed.updated_at <= clock.now()
        assert claimed.ctx == {"kept": 1}
        assert store.load(execution.id) == claimed

    def test_claim_pending_grows_from_what_is_stored(self, store):
        store.create(make_execution(fence=4, claims=2, started_at=at(1)))

        (claimed,) = store.claim_pending("worker", MINUTE, 10, workflow_ids=ORDERS)

        assert (claimed.fence, claimed.claims, claimed.started_at) == (5, 3, at(1))

    def test_claim_pending_of_an_empty_store_is_nothing(self, store):
        assert store.claim_pending("worker", MINUTE, 10, workflow_ids=ORDERS) == []

    def test_claim_pending_takes_the_highest_priority_and_of_these_the_oldest(self, store):
        low, young, old, high, negative = (
            store.create(make_execution(age, priority=priority))
            for age, priority in ((1, 0), (3, 5), (2, 5), (4, 9), (0, -1))
        )

        claimed = store.claim_pending("worker", MINUTE, 10, workflow_ids=ORDERS)

        assert names(claimed) == names([high, old, young, low, negative])

    def test_claim_pending_keeps_to_its_limit(self, store):
        executions = [store.create(make_execution(age)) for age in range(5)]

        batches = [
            store.claim_pending("worker", MINUTE, limit, workflow_ids=ORDERS)
            for limit in (2, 0, 2, 2, 2)
        ]

        assert [names(batch) for batch in batches] == [
            names(executions[:2]),
            [],
            names(executions[2:4]),
            names(executions[4:]),
            [],
        ]

    @pytest.mark.parametrize(
        ("workflow_ids", "found"),
        [
            (["orders"], ["a", "d"]),
            (["refunds"], ["b"]),
            (["refunds", "orders"], ["a", "b", "d"]),
            ({"orders", "Orders", "nothing"}, ["a", "c", "d"]),
            (["nothing"], []),
            ([], []),
        ],
        ids=str,
    )
    def test_claim_pending_takes_only_known_workflows(self, store, workflow_ids, found):
        for age, workflow_id in enumerate(("orders", "refunds", "Orders", "orders")):
            store.create(make_execution(age, workflow_id=workflow_id, started_by="abcd"[age]))

        claimed = store.claim_pending("worker", MINUTE, 10, workflow_ids=workflow_ids)

        assert [execution.started_by for execution in claimed] == found

    @pytest.mark.parametrize(
        ("queues", "found"),
        [
            (None, ["a", "b", "c", "d", "e"]),
            ([None], ["a", "d"]),
            (["slow"], ["b"]),
            ({"slow", None}, ["a", "b", "d"]),
            (["fast", "slow"], ["b", "e"]),
            (["Slow"], ["c"]),
            (["nothing"], []),
            ([], []),
        ],
        ids=str,
    )
    def test_claim_pending_takes_only_from_its_queues(self, store, queues, found):
        for age, queue in enumerate((None, "slow", "Slow", None, "fast")):
            store.create(make_execution(age, queue=queue, started_by="abcde"[age]))

        claimed = store.claim_pending("worker", MINUTE, 10, workflow_ids=ORDERS, queues=queues)

        assert [execution.started_by for execution in claimed] == found

    def test_claim_pending_passes_over_what_it_does_not_want(self, store):
        for age in range(30):
            store.create(make_execution(age, priority=9, queue="fast"))
            store.create(make_execution(age, priority=9, workflow_id="other"))
        wanted = store.create(make_execution(99, queue="slow"))

        claimed = store.claim_pending("worker", MINUTE, 1, workflow_ids=ORDERS, queues=["slow"])

        assert names(claimed) == [wanted.id]

    @pytest.mark.parametrize("status", ["halted", "completed", "failed", "cancelled", "running"])
    def test_claim_pending_leaves_what_is_not_pending(self, store, status):
        execution = store.create(
            make_execution(status=ExecutionStatus(status), lease_expires_at=at(0))
        )

        assert store.claim_pending("worker", MINUTE, 10, workflow_ids=ORDERS) == []
        assert store.load(execution.id) == execution

    def test_claim_pending_finds_what_became_pending_again(self, store):
        execution = halted(store, {"wake_at": at(1)})
        abandoned = running(store, age=1, lease_expires_at=at(1))
        before = store.claim_pending("worker", MINUTE, 10, workflow_ids=ORDERS)

        store.wake_due(at(2))
        after = store.claim_pending("worker", MINUTE, 10, workflow_ids=ORDERS)

        assert before == []
        assert names(after) == names([execution, abandoned])

    def test_claim_pending_and_claim_do_not_share(self, store):
        one, other = (store.create(make_execution(age)) for age in range(2))
        store.claim(one.id, "first", ENDED)

        claimed = store.claim_pending("second", MINUTE, 10, workflow_ids=ORDERS)

        assert names(claimed) == [other.id]
        assert store.claim(other.id, "third", MINUTE) is None

    def test_claim_pending_at_once_gives_each_to_one(self, store):
        executions = [store.create(make_execution(age)) for age in range(20)]

        def work(number):
            claimed = []
            for _ in executions:
                claimed += store.claim_pending(f"{number}", MINUTE, 2, workflow_ids=ORDERS)
            return claimed

        outcomes = self.together(work)

        claimed = [execution for batch in outcomes for execution in batch]
        assert sorted(names(claimed)) == sorted(names(executions))
        assert {execution.fence for execution in claimed} == {1}
        for number, batch in enumerate(outcomes):
            owners = {store.load(execution.id).lease_owner for execution in batch}
            assert owners <= {f"{number}"}

    def test_claim_pending_and_claim_at_once_give_each_to_one(self, store):
        executions = [store.create(make_execution(age)) for age in range(4)]

        def work(number):
            if number % 2:
                return store.claim_pending("batch", MINUTE, 2, workflow_ids=ORDERS)
            claimed = store.claim(executions[number // 2].id, "single", MINUTE)
            return [] if claimed is None else [claimed]

        outcomes = self.together(work)

        claimed = [execution for batch in outcomes for execution in batch]
        assert len(claimed) == len(set(names(claimed)))
        assert {execution.fence for execution in claimed} == {1}

    # Pages --------------------------------------------------------------------------------------

    def test_pending_tells_what_a_bell_has_to_know(self, store):
        execution = store.create(make_execution(queue="slow", priority=-5, fence=41))

        assert store.pending(at(0)) == [
            Pending(
                id=execution.id,
                workflow_id="orders",
                queue="slow",
                priority=-5,
                fence=41,
                created_at=at(0),
            )
        ]

    @pytest.mark.parametrize("status", ["halted", "completed", "failed", "cancelled", "running"])
    def test_pending_lists_nothing_else(self, store, status):
        store.create(make_execution(status=ExecutionStatus(status)))

        assert store.pending(at(1000)) == []

    def test_pending_forgets_what_was_claimed(self, store):
        execution = store.create(make_execution())
        store.claim(execution.id, "worker", MINUTE)

        assert store.pending(clock.now() + MINUTE) == []

    def test_pending_lists_those_that_are_pending_since_then(self, store):
        since = store.create(make_execution(updated_at=at(10)))
        store.create(make_execution(updated_at=at(10) + timedelta(microseconds=1)))

        assert names(store.pending(at(10))) == [since.id]
        assert len(store.pending(at(11))) == 2

    def test_pending_lists_by_age(self, store):
        young, old, middle = (
            store.create(make_execution(age, updated_at=at(9 - age), priority=age))
            for age in (3, 1, 2)
        )

        assert names(store.pending(at(1000))) == names([old, middle, young])

    def test_pending_lists_the_same_moment_by_id(self, store):
        executions = [store.create(make_execution()) for _ in range(5)]

        assert names(store.pending(at(0))) == sorted(names(executions))

    def test_pending_goes_on_after_the_last_of_a_page(self, store):
        ages = [0, 1, 1, 1, 2, 3, 3]
        executions = [store.create(make_execution(age)) for age in ages]

        pages, after = [], None
        for _ in ages:
            pages.append(store.pending(at(1000), 2, after))
            after = pages[-1][-1] if pages[-1] else after

        in_order = sorted(executions, key=lambda one: (one.created_at, one.id))
        assert [len(page) for page in pages] == [2, 2, 2, 1, 0, 0, 0]
        assert [one.id for page in pages for one in page] == names(in_order)

    def test_pending_goes_on_after_one_that_is_pending_no_more(self, store):
        executions = [store.create(make_execution(age)) for age in range(4)]
        page = store.pending(at(1000), 2)
        store.claim(page[-1].id, "worker", MINUTE)

        assert names(store.pending(at(1000), 2, page[-1])) == names(executions[2:])

    def test_pending_looks_at_the_moment_on_every_page(self, store):
        first = store.create(make_execution(0))
        store.create(make_execution(1, updated_at=at(50)))
        last = store.create(make_execution(2))
        (page,) = store.pending(at(10), 1)

        assert page.id == first.id
        assert names(store.pending(at(10), 5, page)) == [last.id]

    def test_pending_lists_nothing_where_nothing_is_asked_for(self, store):
        store.create(make_execution())

        assert store.pending(at(1000), 0) == []
