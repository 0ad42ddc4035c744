"""
The whole engine in one process, against a small model, in any order of work and accidents.

What a user may rely on is in tests/machine: the invariants of one execution, and the model of what
was confirmed to somebody. WORKFLOWS_EXAMPLES multiplies the number of examples.
"""

import logging
import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine import flows
from tests.machine.rules import Machine
from tests.settings import TEST_DB

pytestmark = pytest.mark.slow

#: 1 for a run that takes a minute; more by night.
TIMES = int(os.environ.get("WORKFLOWS_EXAMPLES", "1"))


@pytest.fixture(autouse=True)
def workflows(monkeypatch):
    # Thousands of failures are what is tested here, and nobody reads of each.
    monkeypatch.setattr(logging.getLogger("django_workflows"), "disabled", True)
    with flows.known():
        yield


@pytest.fixture
def play(settings):
    """Play some examples on a store, each of ``steps`` rules."""

    def play(store, *, examples, steps):
        settings.WORKFLOWS = {
            "STORE": {"BACKEND": f"tests.machine.backends.{store}"},
            "ADAPTER": {"BACKEND": "tests.machine.backends.Post"},
            "PARALLEL_THREADS": 0,  # in turn, so that the same example is the same each time
        }
        run_state_machine_as_test(Machine, settings=chosen(examples, steps))

    return play


def chosen(examples, steps):
    return settings(
        max_examples=examples * TIMES,
        stateful_step_count=steps,
        deadline=None,
        # Without a database of failures, Hypothesis prints the seed of one.
        database=None,
        print_blob=True,
        report_multiple_bugs=False,
        # A run that is long, and rules that wait for others before they apply, are meant.
        suppress_health_check=list(HealthCheck),
    )


def test_memory_store(play):
    play("MemoryBackend", examples=500, steps=40)


@pytest.mark.django_db(transaction=True)
def test_orm_store(play):
    play("OrmBackend", examples=60 if TEST_DB == "sqlite" else 30, steps=30)
