"""R3 and R4: Redis loses all it has, or is not there; whoever starts something does not notice."""

import time
from statistics import median

import pytest
from django.test import Client

from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import WorkflowExecution
from tests.crash.invariants import assert_invariants, patience
from tests.crash.ledger.models import Effect
from tests.crash.ledger.workflows import CHAOS_EFFECTS, PAIR_EFFECTS, Chaos
from tests.crash.robot import Robot
from tests.crash.servers import wait_until
from tests.crash.waiting import statuses, wait_for_ends


@pytest.fixture
def by_rq(monkeypatch, settings):
    """The RQ adapter, for this process and its workers."""
    from tests.crash.settings import _ADAPTERS

    monkeypatch.setenv("CRASH_ADAPTER", "rq")
    settings.WORKFLOWS = {
        **settings.WORKFLOWS,
        "ADAPTER": {"BACKEND": _ADAPTERS["rq"], "OPTIONS": {}},
    }


def count(status):
    return WorkflowExecution.objects.filter(status=status).count()


def test_redis_is_emptied_three_times(by_rq, fleet, outside, redis_server, is_long, figures):
    executions = 1000 if is_long else 60
    redis = redis_server.connection()
    for number in range(executions):
        Chaos.start(number=number)
    queued = redis.llen("rq:queue:default")

    redis.flushall()  # while all are queued
    workers = fleet("worker", size=4)
    wait_until(lambda: count("halted") > executions / 4, "halts", 300)
    running = count("running")
    redis.flushall()  # while some run and some wait
    wait_until(lambda: count("halted") == executions, "all halts", 600)
    redis.flushall()  # while all wait
    halted = count("halted")
    robot = Robot()
    began = time.monotonic()
    ended = wait_for_ends(executions, 600)
    robot.stop()

    assert queued == executions
    assert ended == executions
    assert statuses() == {ExecutionStatus.COMPLETED}
    time.sleep(patience())
    assert_invariants()
    assert Effect.objects.count() == executions * CHAOS_EFFECTS
    assert set(workers.stop()) == {0}
    figures(
        executions=executions,
        queued_at_first_flush=queued,
        running_at_second=running,
        halted_at_third=halted,
        seconds_after_third=time.monotonic() - began,
    )
    assert running > 0
    assert halted == executions


def test_redis_is_away_while_requests_start_executions(
    by_rq, fleet, outside, redis_server, is_long, figures, settings, caplog
):
    away = 60 if is_long else 12
    client = Client()
    workers = fleet("worker", size=2)

    def begin(number):
        began = time.monotonic()
        answer = client.post("/begin/", {"number": number})
        assert answer.status_code == 202
        return time.monotonic() - began

    before = [begin(number) for number in range(50)]
    wait_for_ends(50, 60)
    redis_server.stop()
    gone, number, during = time.monotonic(), 50, []
    while time.monotonic() - gone < away:
        during.append(begin(number))
        number += 1
        time.sleep(0.05)
    redis_server.start()
    back = time.monotonic()
    ended = wait_for_ends(number, 120)
    drained = time.monotonic() - back

    assert ended == number
    assert statuses() == {ExecutionStatus.COMPLETED}
    time.sleep(patience())
    assert_invariants()
    assert Effect.objects.count() == number * PAIR_EFFECTS
    logged = [record for record in caplog.records if "could not be dispatched" in record.message]
    figures(
        started_meanwhile=len(during),
        ms_with_redis=1000 * median(before),
        ms_without=1000 * median(during),
        worst_ms_without=1000 * max(during),
        log_records=len(logged),
        seconds_until_drained=drained,
    )
    assert median(during) - median(before) < 0.3
    assert max(during) < max(before) + 1.5
    assert 1 <= len(logged) <= 1 + away / 60
    assert set(workers.stop()) == {0}
    for written in [member.output() for member in workers.members]:
        assert written.count("Traceback") <= 3, written[-5000:]
