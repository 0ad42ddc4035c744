"""R5 and R6: one execution in many hands, and hands that come back from the dead."""

import os
import signal
import subprocess
import sys
import time

from django_workflows import wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import WorkflowExecution
from tests.crash.fleet import ROOT
from tests.crash.invariants import assert_invariants, patience
from tests.crash.ledger.models import Effect
from tests.crash.ledger.workflows import PAIR_EFFECTS, Pair
from tests.crash.servers import wait_until
from tests.crash.waiting import abandoned, statuses, wait_for_ends

#: Drives one execution over and over, as a queue that delivers a message to everybody would.
GREEDY = """
import django
django.setup()
import sys
from django_workflows.performing import perform
print("ready", flush=True)
for line in sys.stdin:
    perform(line.strip())
    print("done", flush=True)
"""


def test_frozen_worker_that_wakes_up_is_refused(fleet, outside, is_long, figures):
    rounds = 100 if is_long else 10
    workers = fleet("worker", size=2, CRASH_LEASE="1", CRASH_SWEEP="0.3", CRASH_LOG="INFO")
    in_step = 0

    for number in range(rounds):
        Pair.start(number=number, pause=0.4)
        wait_until(lambda: any(m.is_busy() for m in workers.members), "a worker at work")
        frozen = next(member for member in workers.members if member.is_busy())
        time.sleep(workers.random.uniform(0.0, 0.3))
        frozen.send(signal.SIGSTOP)
        in_step += frozen.is_busy()
        wait_for_ends(number + 1, 30)
        frozen.send(signal.SIGCONT)
        time.sleep(0.5)
        assert frozen.is_alive()

    time.sleep(patience())
    assert statuses() == {ExecutionStatus.COMPLETED}
    assert_invariants()
    assert Effect.objects.count() == rounds * PAIR_EFFECTS
    refused = sum(member.output().count("nothing of it was written") for member in workers.members)
    figures(frozen=rounds, in_a_step=in_step, taken_over=abandoned(), refused=refused)
    assert in_step >= 0.9 * rounds
    assert abandoned() >= 0.9 * rounds


def test_message_that_is_delivered_to_twenty_workers(database, outside, is_long, figures):
    executions = 200 if is_long else 20
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", GREEDY],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.crash.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(20)
    ]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"

    for number in range(executions):
        execution = wiring.engine(Pair.definition).create({"number": number, "pause": 0.01})
        for worker in workers:
            worker.stdin.write(f"{execution.id}\n")
            worker.stdin.flush()
    wait_for_ends(executions, 120)
    for worker in workers:
        worker.stdin.close()
    codes = [worker.wait(60) for worker in workers]
    for worker in workers:
        worker.stdout.close()

    assert codes == [0] * 20
    assert statuses() == {ExecutionStatus.COMPLETED}
    assert_invariants(0)
    assert Effect.objects.count() == executions * PAIR_EFFECTS
    assert {len(keys) for keys in outside.calls.values()} == {1}
    claims = sum(WorkflowExecution.objects.values_list("fence", flat=True))
    figures(executions=executions, deliveries=20 * executions, claims=claims)
    assert claims == executions
