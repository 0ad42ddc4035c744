"""A broker that is down stops nobody, is heard of, and costs little."""

import time

from django_workflows import get, start
from django_workflows.core.execution import ExecutionStatus
from django_workflows.runners import base
from tests.runners.contract.base import Stationed

#: Seconds that a start may take where the broker is down, on average.
COSTS = 0.3


class OutagesContract(Stationed):
    def test_what_is_started_meanwhile_is_pending(self, station, counted):
        station.unplug()

        execution = start(counted)

        assert get(execution.id).status == ExecutionStatus.PENDING

    def test_a_start_costs_little(self, station, counted, monkeypatch):
        monkeypatch.setattr(base, "PAUSE", 0.0)  # so that each of them tries
        station.unplug()
        start(counted)

        began = time.monotonic()
        for _ in range(10):
            start(counted)

        assert (time.monotonic() - began) / 10 < COSTS

    def test_it_is_logged_once_a_minute(self, station, counted, monkeypatch, caplog):
        monkeypatch.setattr(base, "PAUSE", 0.0)
        station.unplug()

        for _ in range(5):
            start(counted)
        assert len(caplog.records) == 1
        monkeypatch.setattr(base, "monotonic", lambda: time.monotonic() + 61)
        start(counted)

        assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
        assert "could not be dispatched" in caplog.text
