"""A job is an id as JSON; it may come twice, or get lost."""

import pytest

from django_workflows import get, start, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import ConfigurationError
from django_workflows.steps import Call
from django_workflows.supervisor import sweep
from tests.runners.contract.base import Stationed
from tests.runners.contract.station import until


class JobsContract(Stationed):
    def test_a_job_carries_the_id_and_nothing_else(self, station, registered):
        paying = registered("paying", pay=Call(lambda state: state.input))

        execution = start(paying, {"card": "4111-secret"}, by="alice@example.com")

        (job,) = station.jobs()
        assert job.arguments == [execution.id]
        assert b"secret" not in job.raw
        assert b"alice" not in job.raw

    def test_what_is_delivered_twice_runs_once(self, station, counted, calls):
        execution = start(counted)
        station.deliver_again()
        assert len(station.jobs()) == 2

        with station.worker(station.queue):
            until(lambda: station.jobs() == [])
            self.comes_to(execution, ExecutionStatus.COMPLETED)

        assert calls == [execution.id]

    def test_a_job_of_an_execution_that_is_gone_does_nothing(self, station, counted, calls):
        gone, kept = start(counted), start(counted)
        wiring.store().delete(gone.id)

        with station.worker(station.queue):
            self.comes_to(kept, ExecutionStatus.COMPLETED)

        assert calls == [kept.id]
        assert not station.failure(gone)

    def test_a_lost_job_is_rung_again_by_a_sweep(self, station, counted, calls):
        execution = start(counted)
        station.lose()
        assert station.jobs() == []

        sweep()

        assert station.heard() == [execution.id]
        with station.worker(station.queue):
            self.comes_to(execution, ExecutionStatus.COMPLETED)
        assert calls == [execution.id]

    def test_a_failed_execution_leaves_a_failed_job(self, station, registered, counted):
        def fail():
            raise ValueError("no such card")

        broken = start(registered("broken", pay=Call(fail)))
        sound = start(counted)

        with station.worker(station.queue):
            self.comes_to(broken, ExecutionStatus.FAILED)
            self.comes_to(sound, ExecutionStatus.COMPLETED)
            until(lambda: station.failure(broken))

        assert f"Execution {broken.id} is failed" in station.failure(broken)
        assert "ValueError: no such card" in station.failure(broken)
        assert not station.failure(sound)
        assert get(broken.id).error == "ValueError: no such card"

    def test_unknown_options_are_refused(self, station, settings):
        adapter = {**station.adapter, "OPTIONS": {"queu": "slow"}}
        settings.WORKFLOWS = {"ADAPTER": adapter}

        with pytest.raises(ConfigurationError, match=r"OPTIONS that do not fit.*queu"):
            wiring.adapter()
