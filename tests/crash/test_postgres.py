"""R2: PostgreSQL is stopped as by a power cut, again and again; and connections die unnoticed."""

import random
import time

import pytest
from django.db import DatabaseError, connection

from django_workflows import api
from django_workflows.core.execution import ExecutionStatus
from django_workflows.exceptions import WorkflowError
from django_workflows.models import WorkflowExecution, WorkflowWait
from tests.crash.invariants import assert_invariants, patience
from tests.crash.ledger.models import Effect
from tests.crash.ledger.workflows import CHAOS_EFFECTS, PAIR_EFFECTS, Chaos, Pair
from tests.crash.servers import wait_until
from tests.crash.waiting import statuses, wait_for_ends

#: So many of eight cuts may hit a supervisor in the milliseconds of a look.
MOST_HITS = 2


def patiently(call):
    """Call until the database answers."""
    until = time.monotonic() + 30
    while True:
        try:
            return call()
        except (DatabaseError, WorkflowError):
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def approve_some():
    waiting = WorkflowWait.objects.filter(status="open", kind="approval")
    for execution_id in list(waiting.values_list("execution_id", flat=True)[:20]):
        api.resume(execution_id, approved=True, by="robot")


def await_work(executions):
    """Wait until something is being driven, or all has ended; say which it was."""
    while patiently(lambda: wait_for_ends(executions, 0)) < executions:
        if patiently(WorkflowExecution.objects.filter(status="running").exists):
            return True
        patiently(approve_some)
    return False


def test_postgres_is_restarted(adapter, fleet, outside, postgres, is_long, seed, figures):
    # In 500, which take less than a minute, there is time for three restarts.
    executions, restarts = (2000, 20) if is_long else (120, 4)
    shortest, longest = (5, 20) if is_long else (1, 3)
    chance = random.Random(seed)
    for number in range(executions):
        Chaos.start(number=number)
    workers = fleet("worker", size=4)
    wait_until(lambda: any(member.is_busy() for member in workers.members), "work")
    done = 0

    while done < restarts:
        until = time.monotonic() + chance.uniform(shortest, longest)
        while time.monotonic() < until:
            patiently(approve_some)
            time.sleep(0.2)
        if not await_work(executions):  # each restart is to hit somebody who drives
            break
        connection.close()
        postgres.stop("immediate")
        time.sleep(chance.uniform(0, 2))
        postgres.start()
        done += 1
    until = time.monotonic() + 240
    while patiently(lambda: wait_for_ends(executions, 0)) < executions and time.monotonic() < until:
        patiently(approve_some)
        time.sleep(0.2)

    assert wait_for_ends(executions, 0) == executions
    assert statuses() == {ExecutionStatus.COMPLETED}
    time.sleep(patience())
    assert_invariants()
    assert Effect.objects.count() == executions * CHAOS_EFFECTS
    logs = [member.output() for member in workers.members]
    assert all(member.is_alive() for member in workers.members), logs
    lines = [
        sum(
            1
            for line in log.splitlines()
            if " WARNING " in line or " ERROR " in line or line.startswith("Traceback")
        )
        for log in logs
    ]
    most = max(lines) / done
    figures(executions=executions, restarts=done, log_lines_a_restart=most, seed=seed)
    assert done >= 3
    assert most < 10, max(logs, key=len)[-6000:]
    assert set(workers.stop()) == {0}


@pytest.mark.parametrize("age", ["0", "60", "none"])
def test_connections_that_die_unnoticed_reach_no_run(fleet, outside, age, figures):
    workers = fleet("worker", size=1, CRASH_CONN_MAX_AGE=age)
    started = []

    for number in range(8):
        started.append(Pair.start(number=number, pause=0.0))
        wait_for_ends(len(started), 30)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            killed = cursor.fetchone()[0]
        assert killed or age == "0"
    ended = wait_for_ends(len(started), 30)

    assert ended == len(started)
    assert statuses() == {ExecutionStatus.COMPLETED}
    assert Effect.objects.count() == len(started) * PAIR_EFFECTS
    assert_invariants(0)
    fences = set(WorkflowExecution.objects.values_list("fence", flat=True))
    figures(conn_max_age=age, killed_each_time=killed, fences=sorted(fences))
    assert fences == {1}  # none was cut short
    assert "cut short" not in workers.members[0].output()
    # One that is looking at that moment is hit, rarely; one that begins to look after it is not.
    assert workers.members[0].output().count("The supervisor cannot look") <= MOST_HITS
    assert set(workers.stop()) == {0}
