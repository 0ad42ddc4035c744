"""Queues are told apart."""

import time

from django_workflows import get, start
from django_workflows.core.execution import ExecutionStatus
from tests.runners.contract.base import Stationed


class QueuesContract(Stationed):
    def test_a_worker_drives_what_is_on_its_queue_only(self, station, counted, calls):
        usual = start(counted)
        special = start(counted, queue=station.other_queue)

        with station.worker(station.queue):
            self.comes_to(usual, ExecutionStatus.COMPLETED)
            time.sleep(0.3)
        assert get(special.id).status == ExecutionStatus.PENDING
        with station.worker(station.other_queue):
            self.comes_to(special, ExecutionStatus.COMPLETED)

        assert calls == [usual.id, special.id]

    def test_the_priority_does_no_harm(self, station, counted):
        executions = [start(counted, priority=priority) for priority in (-1_000, 0, 1_000)]

        with station.worker(station.queue):
            for execution in executions:
                self.comes_to(execution, ExecutionStatus.COMPLETED)
