from dataclasses import replace
from datetime import timedelta

import pytest

from django_workflows.core import clock
from django_workflows.core.chores import Chore, ChoreKind
from django_workflows.core.decisions import Change
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.presence import Presence
from django_workflows.core.waits import Answer, InboxEvent, WaitKind
from django_workflows.exceptions import StoreUnavailable
from tests.stores.contract import StoreContract
from tests.stores.contract.purging import BEFORE, ended, ended_child, took_an_event
from tests.stores.contract.records import (
    MINUTE,
    UNKNOWN_ID,
    at,
    halted,
    make_child,
    make_entry,
    make_execution,
)
from tests.stores.keyspace import clear, keys, open_store

redis = pytest.importorskip("redis")

from django_workflows.stores.redis import RedisStore  # noqa: E402


@pytest.fixture(scope="module")
def kept():
    yield from open_store()


@pytest.fixture
def store(kept):
    clear(kept)
    return kept


class TestRedisStore(StoreContract):
    pass


def everything(store):
    """Store something of every kind there is, and return the ids of the executions to delete."""
    parent = store.create(make_execution(idempotency_key="7", subject="shop.order:7", queue="slow"))
    children = [
        make_child(parent, item, status=status) for item, status in enumerate(ExecutionStatus)
    ]
    store.create_children(parent.id, parent.fence, children)
    waiting = halted(
        store,
        {"kind": WaitKind.EVENT, "key": "paid:7", "wake_at": at(1), "remind_at": at(1)},
        deadline_at=at(1),
    )
    store.record(make_entry(waiting))
    event = InboxEvent(name="paid", key="7")
    store.add_event(event, Chore(kind=ChoreKind.DELIVER, target=event.topic))
    store.wake_due(at(2))
    store.remember_graph("orders", "1", {})
    store.announce(Presence(id="worker"))
    return [parent.id, waiting.id]


def test_nothing_expires(store):
    everything(store)

    assert {store.client.ttl(key) for key in keys(store)} == {-1}


def test_no_key_is_left_behind(store):
    ids = everything(store)

    assert [store.delete(execution_id) for execution_id in ids] == [True, True]
    for chore in store.chores(clock.now() + MINUTE):
        store.finish_chore(chore.id)
    store.dismiss("worker")

    left = {key.removeprefix(f"{store.prefix}:").partition(":")[0] for key in keys(store)}
    assert left == {"event", "inbox", "graphs"}


def test_a_purge_leaves_no_key_behind(store):
    root = ended(store, idempotency_key="7", subject="shop.order:7", queue="slow")
    child = ended_child(store, root)
    event = took_an_event(store)
    for one in (root, child, event):
        store.record(make_entry(one))
        store.transition(
            one.id,
            lambda stored, waits: Change(
                execution=stored, chores=[Chore(kind=ChoreKind.MEET, execution_id=stored.id)]
            ),
        )

    assert store.purge([root.id, event.id], BEFORE).executions == 3

    assert keys(store) == []


def test_what_ended_below_a_parent_that_is_gone_is_a_root(store):
    child = ended(store, parent=UNKNOWN_ID)

    assert [one.id for one in store.ended(BEFORE)] == [child.id]
    assert store.purge([child.id], BEFORE).executions == 1


def test_what_ended_is_found_behind_a_page_of_others(store, monkeypatch):
    monkeypatch.setattr("django_workflows.stores.redis.purging._PAGE", 4)
    for age in range(9):
        ended(store, age)
    wanted = [ended(store, age, workflow_id="refunds") for age in (3, 20)]

    found = store.ended(BEFORE, 2, workflow_ids=["refunds"])

    assert [one.id for one in found] == [one.id for one in wanted]
    assert store.ended(BEFORE, 2, workflow_ids=["refunds"], after=found[0]) == found[1:]


def test_of_several_workflows_and_queues_the_most_urgent_are_claimed(store):
    workflows, queues = ["orders", "refunds"], [None, "slow"]
    low, young, old, high = (
        store.create(make_execution(age, priority=priority, workflow_id=workflow_id, queue=queue))
        for age, priority, workflow_id, queue in (
            (0, 0, "orders", None),
            (2, 5, "orders", "slow"),
            (1, 5, "refunds", None),
            (3, 10, "refunds", "slow"),
        )
    )

    claims = [
        store.claim_pending("worker", MINUTE, 1, workflow_ids=workflows, queues=queues)
        for _ in range(4)
    ]

    assert [[one.id for one in claimed] for claimed in claims] == [
        [high.id],
        [old.id],
        [young.id],
        [low.id],
    ]


def test_a_pending_execution_moves_with_its_created_at(store):
    first, second = (store.create(make_execution(age)) for age in (1, 2))

    store.save(replace(first, created_at=at(3)))

    assert [one.id for one in store.pending(at(9))] == [second.id, first.id]
    claimed = store.claim_pending("worker", MINUTE, 9, workflow_ids=["orders"])
    assert [one.id for one in claimed] == [second.id, first.id]
    assert store.pending(clock.now() + MINUTE) == []


def test_a_deleted_child_of_nobody_leaves_no_chore(store):
    child = store.create(make_execution(parent=UNKNOWN_ID))

    store.delete(child.id)

    assert store.chores(clock.now() + MINUTE) == []


def test_prefixes_do_not_meet(store):
    other = RedisStore(**store.options | {"prefix": f"{store.prefix}_other"})
    store.create(make_execution())

    assert other.find() == []
    other.client.close()


@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda store, execution: store.create(execution), id="create"),
        pytest.param(lambda store, execution: store.save(execution), id="save"),
        pytest.param(lambda store, execution: store.load(execution.id), id="load"),
        pytest.param(lambda store, execution: store.find(), id="find"),
        pytest.param(lambda store, execution: store.execution_ids(), id="execution_ids"),
        pytest.param(lambda store, execution: store.delete(execution.id), id="delete"),
        pytest.param(lambda store, execution: store.record(make_entry(execution)), id="record"),
        pytest.param(lambda store, execution: store.entries(execution.id), id="entries"),
        pytest.param(lambda store, execution: store.claim(execution.id, "w", MINUTE), id="claim"),
        pytest.param(lambda store, execution: store.renew(execution.id, 1, MINUTE), id="renew"),
        pytest.param(lambda store, execution: store.checkpoint(execution, [], 1), id="checkpoint"),
        pytest.param(
            lambda store, execution: store.settle(execution.id, None, Answer()), id="settle"
        ),
        pytest.param(lambda store, execution: store.waits(execution.id), id="waits"),
        pytest.param(lambda store, execution: store.find_waits(), id="find_waits"),
        pytest.param(lambda store, execution: store.due(execution.created_at), id="due"),
        pytest.param(lambda store, execution: store.graph("orders", "1"), id="graph"),
        pytest.param(
            lambda store, execution: store.create_children(execution.id, 1, []),
            id="create_children",
        ),
        pytest.param(
            lambda store, execution: store.claim_pending("w", MINUTE, 1, workflow_ids=["orders"]),
            id="claim_pending",
        ),
        pytest.param(lambda store, execution: store.pending(execution.created_at), id="pending"),
        pytest.param(lambda store, execution: store.wake_due(execution.created_at), id="wake_due"),
        pytest.param(
            lambda store, execution: store.children_state(execution.id, "each"),
            id="children_state",
        ),
        pytest.param(lambda store, execution: store.tally(execution.id, "each"), id="tally"),
        pytest.param(lambda store, execution: store.children(execution.id, "each"), id="children"),
        pytest.param(
            lambda store, execution: store.supersede(execution.id, "each"), id="supersede"
        ),
        pytest.param(
            lambda store, execution: store.release_held(execution.id, "each", 1),
            id="release_held",
        ),
        pytest.param(
            lambda store, execution: store.add_event(InboxEvent(name="paid")), id="add_event"
        ),
        pytest.param(lambda store, execution: store.next_event("paid:"), id="next_event"),
        pytest.param(lambda store, execution: store.chores(execution.created_at), id="chores"),
        pytest.param(lambda store, execution: store.finish_chore("7"), id="finish_chore"),
        pytest.param(lambda store, execution: store.announce(Presence()), id="announce"),
        pytest.param(lambda store, execution: store.present(), id="present"),
        pytest.param(lambda store, execution: store.dismiss("worker"), id="dismiss"),
        pytest.param(lambda store, execution: store.now(), id="now"),
        pytest.param(lambda store, execution: store.ended(execution.created_at), id="ended"),
        pytest.param(
            lambda store, execution: store.purge([execution.id], execution.created_at), id="purge"
        ),
        pytest.param(
            lambda store, execution: store.remember_graph("orders", "1", {}), id="remember_graph"
        ),
    ],
)
def test_a_server_that_does_not_answer_is_unavailable(ask):
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    # Nothing listens on port 1; the client's own retries would only take their time.
    store = RedisStore(url="redis://127.0.0.1:1", retry=Retry(NoBackoff(), 0))

    with pytest.raises(StoreUnavailable, match="RedisStore does not answer") as caught:
        ask(store, make_execution())

    assert isinstance(caught.value.__cause__, redis.exceptions.ConnectionError)


def test_loading_ignores_what_a_newer_release_added(store):
    execution = store.create(make_execution())

    store.client.hset(store._key("execution", execution.id), "colour", '"red"')

    assert store.load(execution.id) == execution


def test_reading_fills_in_what_an_older_release_did_not_know(store):
    parent = store.create(make_execution())
    child = store.create(make_child(parent, 3))

    store.client.hdel(store._key("execution", child.id), "parent_step", "item")

    assert store.load(child.id) == replace(child, parent_step=None, item=None)
    assert [one.item for one in store.children(parent.id, "each")] == [None]


def test_the_clock_is_that_of_the_server(store):
    clock.travel(timedelta(days=1))
    try:
        ahead = clock.now() - store.now()
    finally:
        clock.reset()

    seconds, _ = store.client.time()
    assert timedelta(hours=23) < ahead < timedelta(hours=25)
    assert abs(store.now().timestamp() - seconds) < 60


def test_pending_goes_past_a_page_of_those_that_became_so_lately(store):
    for age in range(5):
        store.create(make_execution(age, updated_at=at(50)))
    since = [store.create(make_execution(age)) for age in (5, 6, 7)]

    pages = [store.pending(at(10), 2)]
    pages.append(store.pending(at(10), 2, pages[0][-1]))

    assert [[one.id for one in page] for page in pages] == [
        [since[0].id, since[1].id],
        [since[2].id],
    ]
