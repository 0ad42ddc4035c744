import secrets
from dataclasses import replace

import pytest

from django_workflows.core.waits import Answer
from django_workflows.exceptions import StoreUnavailable
from tests import services
from tests.stores.contract import StoreContract
from tests.stores.contract.records import MINUTE, halted, make_entry, make_execution, make_wait

redis = pytest.importorskip("redis")

from django_workflows.stores.redis import RedisStore  # noqa: E402


@pytest.fixture(scope="module")
def kept():
    service = services.require("redis")
    store = RedisStore(url=f"redis://{service.host}:{service.port}", prefix=secrets.token_hex(8))
    yield store
    clear(store)
    store.client.close()


@pytest.fixture
def store(kept):
    clear(kept)
    return kept


def keys(store):
    return list(store.client.scan_iter(f"{store.prefix}:*", count=1000))


def clear(store):
    if found := keys(store):
        store.client.delete(*found)


class TestRedisStore(StoreContract):
    pass


def test_nothing_expires(store):
    execution = halted(store, {"key": "paid:7", "wake_at": make_execution().created_at})
    store.record(make_entry(execution))
    store.remember_graph("orders", "1", {})

    assert {store.client.ttl(key) for key in keys(store)} == {-1}


def test_delete_leaves_no_key_behind(store):
    execution = halted(
        store,
        {"key": "paid:7", "wake_at": make_execution().created_at},
        idempotency_key="7",
        subject="shop.order:7",
    )
    store.record(make_entry(execution))

    store.delete(execution.id)

    assert keys(store) == []


def test_a_write_that_is_sent_again_is_written_once(store, monkeypatch):
    execution = store.create(make_execution())
    claimed = store.claim(execution.id, "worker", MINUTE)
    monkeypatch.setattr("django_workflows.stores.redis._token", lambda: "one and the same")

    for _ in range(2):
        store.checkpoint(claimed, [make_entry(claimed)], claimed.fence)

    assert len(store.entries(execution.id)) == 1


def test_a_claim_that_is_sent_again_is_the_same_claim(store, monkeypatch):
    execution = store.create(make_execution())
    monkeypatch.setattr("django_workflows.stores.redis._token", lambda: "one and the same")

    first, again = (store.claim(execution.id, "worker", MINUTE) for _ in range(2))

    assert first == again
    assert first.fence == 1


def test_a_decision_is_asked_again_where_somebody_wrote_first(store):
    execution = halted(store, {"step": "left"}, {"step": "right"})
    asked = []

    def permit(stored, wait):
        if not asked:
            store.settle(execution.id, "right", Answer(by="bob"))
        asked.append(stored.status)

    store.settle(execution.id, "left", Answer(by="alice"), permit=permit)

    assert asked == ["halted", "pending"]
    assert [wait.status for wait in store.waits(execution.id)] == ["settled", "settled"]


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
            lambda store, execution: store.reserve_event(make_wait(execution, key="a:")),
            id="reserve_event",
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


def test_waiting_for_events_without_a_key_asks_nothing():
    store = RedisStore(url="redis://127.0.0.1:1")

    assert store.reserve_event(make_wait(make_execution())) is None


def test_loading_ignores_what_a_newer_release_added(store):
    execution = store.create(make_execution())

    store.client.hset(store._key("execution", execution.id), "colour", '"red"')

    assert store.load(execution.id) == replace(execution)
