"""R10: starts that are rolled back, committed, and committed by a process that dies right then."""

import os
import signal
import time

import pytest
from django.db import connections, transaction

from django_workflows import wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import WorkflowExecution
from tests.crash.invariants import assert_invariants
from tests.crash.ledger.models import Effect
from tests.crash.ledger.workflows import PAIR_EFFECTS, Pair
from tests.crash.waiting import statuses, wait_for_ends

#: Starts of one transaction.
BATCH = 10


def start_batch(first):
    for number in range(first, first + BATCH):
        Pair.start(number=number, pause=0.0)


def start_and_commit(first):
    with transaction.atomic():
        start_batch(first)


def start_and_roll_back(first):
    with transaction.atomic():
        start_batch(first)
        transaction.set_rollback(True)


def start_below_a_savepoint_that_is_rolled_back(first):
    with transaction.atomic():
        Effect.objects.exists()
        with transaction.atomic():
            start_batch(first)
            transaction.set_rollback(True)


def start_and_die(first):
    """Commit in a process that is killed at its first bell, before any is rung."""
    connections.close_all()
    pid = os.fork()
    if pid == 0:
        wiring.adapter().dispatch = lambda execution: os.kill(os.getpid(), signal.SIGKILL)
        try:
            start_and_commit(first)
        finally:
            os._exit(1)  # it was to be dead by now
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("adapter", ["rq"], indirect=True)
def test_what_commits_runs_and_what_does_not_never_was(adapter, fleet, outside, is_long, figures):
    starts = 10_000 if is_long else 300
    ways = {
        start_and_commit: starts // 3,
        start_and_die: starts // 3,
        start_and_roll_back: starts // 6,
        start_below_a_savepoint_that_is_rolled_back: starts // 6,
    }
    committed = 0
    workers = fleet("worker", size=2)
    began = time.monotonic()

    for way, count in ways.items():
        for first in range(0, count - count % BATCH, BATCH):
            way(first)
            committed += BATCH * (way in {start_and_commit, start_and_die})
    there = WorkflowExecution.objects.count()
    ended = wait_for_ends(committed, 900 if is_long else 90)

    assert there == committed
    assert ended == committed
    assert statuses() == {ExecutionStatus.COMPLETED}
    assert_invariants()
    assert Effect.objects.count() == committed * PAIR_EFFECTS
    died = ways[start_and_die] - ways[start_and_die] % BATCH
    figures(started=starts, committed=committed, bells_lost=died, seconds=time.monotonic() - began)
    assert set(workers.stop()) == {0}
