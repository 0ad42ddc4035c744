import pytest

from django_workflows.stores.memory import MemoryStore
from tests.stores.contract import StoreContract


@pytest.fixture
def store():
    return MemoryStore()


class TestMemoryStore(StoreContract):
    pass
