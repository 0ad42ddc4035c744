"""A Redis for tests, under a prefix of their own."""

import secrets

import pytest

from tests import services


def open_store():
    """Give a RedisStore on the server of this run, and leave nothing of it behind."""
    library = pytest.importorskip("django_workflows.stores.redis")
    service = services.require("redis")
    store = library.RedisStore(
        url=f"redis://{service.host}:{service.port}", prefix=secrets.token_hex(8)
    )
    yield store
    clear(store)
    store.client.close()


def keys(store):
    return list(store.client.scan_iter(f"{store.prefix}:*", count=1000))


def clear(store):
    if found := keys(store):
        store.client.delete(*found)
