"""What the parts of the contract share: an adapter in the settings, and workflows to drive."""

import pytest

from django_workflows import get
from django_workflows.steps import Call
from tests.runners.contract.station import until


class Stationed:
    """Tests of a station, on a database that other threads see."""

    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture(autouse=True)
    def stationed(self, station, settings):
        settings.WORKFLOWS = {"ADAPTER": station.adapter, "PARALLEL_THREADS": 0}

    @pytest.fixture
    def calls(self):
        """The executions whose step ran, as often as it did."""
        return []

    @pytest.fixture
    def counted(self, registered, calls):
        """A workflow of two steps, of which the first is counted."""
        return registered(
            "counted",
            work=Call(lambda state: calls.append(state.execution_id)),
            rest=Call(lambda: "done"),
        )

    @staticmethod
    def comes_to(execution, status):
        """Wait until an execution has a status."""
        until(lambda: get(execution.id).status == status)
