import pytest

from django_workflows.stores.memory import MemoryStore


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def recovered(travel):
    """Drive an execution on whose driver crashed, once its lease has run out."""

    def drive(engine, execution_id):
        travel(engine.limits.lease.total_seconds() + 1)
        return engine.drive(execution_id)

    return drive
