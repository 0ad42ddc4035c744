"""DatabaseAdapter keeps the contract of adapters: its queue is the store."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from django_workflows import wiring
from django_workflows.core import clock
from tests.runners.contract import (
    DrivingContract,
    QueuesContract,
    Station,
    TransactionsContract,
)
from tests.runners.contract.hands import working


class DatabaseStation(Station):
    adapter = {"BACKEND": "django_workflows.runners.database.DatabaseAdapter"}
    queue = "default"
    other_queue = "slow"

    def heard(self):
        # As a worker sees it, which is not in the test's transaction.
        with ThreadPoolExecutor() as pool:
            return pool.submit(self._pending).result()

    @staticmethod
    def _pending():
        try:
            return [pending.id for pending in wiring.store().pending(clock.now())]
        finally:
            connections.close_all()

    def worker(self, queue):
        return working(queue)


class TestDatabaseAdapter(DrivingContract, QueuesContract, TransactionsContract):
    @pytest.fixture
    def station(self):
        return DatabaseStation()
