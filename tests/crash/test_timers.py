"""R13: thousands of timers due in the same second, and an empty look over thousands of others."""

import time
from datetime import timedelta

from django.db import connection
from django.db.models import Min

from django_workflows import wiring
from django_workflows.core import clock
from django_workflows.core.execution import ExecutionStatus
from django_workflows.core.waits import Wait, WaitKind
from django_workflows.models import WorkflowExecution, WorkflowWait
from django_workflows.supervisor import sweep
from tests.crash.invariants import assert_invariants, patience
from tests.crash.ledger.models import Effect
from tests.crash.ledger.workflows import Timer
from tests.crash.waiting import statuses, wait_for_ends


def sleepers(count, until):
    """Write executions that sleep until one moment, as many runs of Timer would leave them."""
    engine, now = wiring.engine(Timer.definition), clock.now()
    wiring.remember(Timer.definition)
    for first in range(0, count, 1000):
        batch = [
            engine.new({"seconds": 1}, None, status=ExecutionStatus.HALTED, fence=1)
            for _ in range(min(1000, count - first))
        ]
        rows = [WorkflowExecution(**WorkflowExecution.columns_of(one)) for one in batch]
        WorkflowExecution.objects.bulk_create(rows)
        waits = [
            Wait(
                execution_id=one.id,
                step="",
                kind=WaitKind.TIMER,
                data={"until": until},
                wake_at=until,
                opened_at=now,
            )
            for one in batch
        ]
        rows = [WorkflowWait(**WorkflowWait.columns_of(wait)) for wait in waits]
        WorkflowWait.objects.bulk_create(rows)


def test_timers_that_are_due_in_one_second(fleet, is_long, figures):
    timers = 10_000 if is_long else 1_000
    due = clock.now() + timedelta(seconds=8 + timers / 2000)
    sleepers(timers, due)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    workers = fleet("worker", "--threads", "2", size=4)

    # They go on to their first step, which sleeps a second more.
    ended = wait_for_ends(timers, 300)

    assert ended == timers
    assert statuses() == {ExecutionStatus.COMPLETED}
    time.sleep(patience())
    assert_invariants()
    assert Effect.objects.count() == timers
    begun = WorkflowExecution.objects.aggregate(Min("started_at"))["started_at__min"]
    late = sorted(
        (started - due).total_seconds()
        for started in WorkflowExecution.objects.values_list("started_at", flat=True)
    )
    naps = WorkflowWait.objects.filter(step="nap").values_list("wake_at", "settled_at")
    fired = sorted((settled - wake).total_seconds() for wake, settled in naps)
    assert begun >= due  # none early
    assert fired[0] >= 0
    figures(
        timers=timers,
        p50_s_late=late[len(late) // 2],
        p99_s_late=late[int(len(late) * 0.99)],
        p99_s_late_of_the_second=fired[int(len(fired) * 0.99)],
    )
    assert set(workers.stop()) == {0}


def test_empty_look_over_what_is_not_due(database, is_long, figures):
    waiting = 100_000 if is_long else 20_000
    sleepers(waiting, clock.now() + timedelta(days=30))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    sweep()

    times = []
    for _ in range(5):
        began = time.perf_counter()
        assert sweep() == 0
        times.append(1000 * (time.perf_counter() - began))

    figures(waiting=waiting, ms=min(times))
    assert min(times) < 10  # of which the database has at most 5
