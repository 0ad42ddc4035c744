"""Who is rung for is driven."""

from django_workflows import get, resume, start, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.steps import Approval, Call
from tests.runners.contract.base import Stationed

COMPLETED = ExecutionStatus.COMPLETED


class DrivingContract(Stationed):
    def test_a_started_execution_is_driven(self, station, counted, calls):
        execution = start(counted)

        with station.worker(station.queue):
            self.comes_to(execution, COMPLETED)

        assert calls == [execution.id]
        assert get(execution.id).result == "done"

    def test_what_is_started_while_a_worker_waits_is_driven(self, station, counted, calls):
        with station.worker(station.queue):
            executions = [start(counted) for _ in range(3)]
            for execution in executions:
                self.comes_to(execution, COMPLETED)

        assert sorted(calls) == sorted(execution.id for execution in executions)

    def test_an_answered_execution_is_driven_on(self, station, registered, calls):
        reviewed = registered(
            "reviewed", review=Approval("Really?"), work=Call(lambda: calls.append("worked"))
        )
        execution = start(reviewed)

        with station.worker(station.queue):
            self.comes_to(execution, ExecutionStatus.HALTED)
            resume(execution.id, approved=True)
            self.comes_to(execution, COMPLETED)

        assert calls == ["worked"]

    def test_what_is_rung_for_twice_runs_once(self, station, counted, calls):
        executions = [start(counted) for _ in range(2)]
        for execution in executions:
            wiring.dispatch(execution)

        with station.worker(station.queue):
            for execution in executions:
                self.comes_to(execution, COMPLETED)

        assert sorted(calls) == sorted(execution.id for execution in executions)

    def test_what_has_no_job_is_unheard(self, station, counted):
        wiring.engine(counted.definition).create()
        (pending,) = wiring.store().pending(wiring.store().now())

        assert list(wiring.adapter().unheard(iter([pending]))) == [pending]

    def test_the_settings_have_no_problem(self):
        assert list(wiring.adapter().problems()) == []
