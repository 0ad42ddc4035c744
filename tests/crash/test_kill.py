"""R1: workers are killed with -9 at random moments, and nothing is lost or done twice."""

import time

import pytest

from django_workflows.core.execution import ExecutionStatus
from tests.crash.invariants import assert_invariants, patience
from tests.crash.ledger.models import Effect
from tests.crash.ledger.workflows import CHAOS_CALLS, CHAOS_EFFECTS, Chaos
from tests.crash.waiting import abandoned, statuses, wait_for_ends


@pytest.mark.parametrize("threads", [1, 4])  # several write their checkpoints together
def test_workers_are_killed(threads, adapter, fleet, outside, robot, is_long, seed, figures):
    executions, kills = (1000, 200) if is_long else (100, 20)
    executions *= min(threads, 2)
    started = [Chaos.start(number=number) for number in range(executions)]
    workers = fleet("worker", "--threads", str(threads), size=4)
    began = time.monotonic()

    while workers.kills < kills and wait_for_ends(executions, 0) < executions:
        workers.kill_one()
        time.sleep(workers.random.uniform(0.05, 0.6))
    ended = wait_for_ends(executions, 240 if is_long else 60)
    took = time.monotonic() - began

    assert ended == executions
    assert statuses() == {ExecutionStatus.COMPLETED}
    time.sleep(patience())
    assert_invariants()
    assert Effect.objects.count() == executions * CHAOS_EFFECTS
    for execution in started:
        calls = outside.of(execution.id)
        assert len(calls) == CHAOS_CALLS
        assert all(len(set(keys)) == 1 for keys in calls.values())
    repeated = sum(len(keys) - 1 for keys in outside.calls.values())
    recovered = abandoned()
    figures(
        executions=executions,
        kills=workers.kills,
        hits=workers.hits,
        recovered=recovered,
        calls_repeated=repeated,
        seconds=took,
        seed=seed,
    )
    assert workers.kills == kills
    assert workers.hits >= 0.9 * kills
    assert recovered >= 0.5 * kills
