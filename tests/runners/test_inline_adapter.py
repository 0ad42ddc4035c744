"""InlineAdapter keeps the contract of adapters: its bell is the work itself."""

from contextlib import nullcontext
from threading import Event

import pytest

from django_workflows import api, start, wiring
from django_workflows.steps import Call
from tests.runners.contract import DrivingContract, Station, TransactionsContract


class InlineStation(Station):
    adapter = {"BACKEND": "django_workflows.runners.inline.InlineAdapter"}
    queue = "default"

    def __init__(self, calls):
        self.calls = calls

    def heard(self):
        return self.calls

    def worker(self, queue):
        return nullcontext()


class TestInlineAdapter(DrivingContract, TransactionsContract):
    @pytest.fixture
    def station(self, calls):
        return InlineStation(calls)


@pytest.mark.django_db(transaction=True)
def test_once_the_process_is_to_stop_the_rest_is_left_to_others(registered, monkeypatch):
    stopping = Event()
    monkeypatch.setattr(wiring, "stopping", stopping)
    workflow = registered("stopped", first=Call(stopping.set), second=Call(lambda: "second"))

    execution = start(workflow)
    other = start(workflow)

    left = api.get(execution.id)
    assert (left.status, left.current_step, left.fence, left.claims) == ("pending", "second", 1, 0)
    assert (left.lease_owner, left.lease_expires_at) == (None, None)
    assert (api.get(other.id).status, api.get(other.id).fence) == ("pending", 0)
    stopping.clear()
    assert wiring.drive(execution.id).output == "second"
