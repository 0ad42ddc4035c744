"""
Workflows of five no-op steps with effects, all of them started first, then two worker processes.

The clock runs from the first claim to the last end, as the rows tell: what a worker takes to start
is not counted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from bench import databases
from bench.flows import steps
from bench.harness import Contestant, Measure, Target
from bench.peers import asked, is_there
from bench.sizes import many

WORKFLOWS, STEPS, PROCESSES = many(1000, 4), 5, 2

ONE, MANY = "ours, 2 processes x 1 thread", "ours, 2 processes x 32 threads"


@contextmanager
def contestants() -> Iterator[Mapping[str, Contestant]]:
    """Prepare them; a figure is workflows per second."""
    with ExitStack() as held:
        held.enter_context(databases.database("postgres"))
        found: dict[str, Contestant] = {ONE: partial(drained, 1), MANY: partial(drained, 32)}
        if is_there("dbos"):
            for mode in ("default", "best"):
                url = held.enter_context(databases.empty_postgres(f"dbos_{mode}"))
                peer = held.enter_context(asked("bench.peers.dbos", url, mode))
                found[f"DBOS, {mode}"] = partial(peer.ask, "queue")
        yield found


@contextmanager
def contestants_by_rq() -> Iterator[Mapping[str, Contestant]]:
    """Prepare those whose workers are woken by RQ; a figure is workflows per second."""
    with databases.database("postgres"), databases.adapter("rq"):
        yield {ONE: partial(drained, 1), MANY: partial(drained, 32)}


def drained(threads: int, alias: str = "postgres") -> float:
    """Start everything, let the workers do it, and return how many they did in a second."""
    from django.utils import timezone

    from django_workflows import start
    from django_workflows.core.engine import Engine
    from django_workflows.models import WorkflowExecution
    from django_workflows.stores.orm import OrmStore

    workflow, began = steps(STEPS), timezone.now()
    rows = WorkflowExecution.objects.using(alias).filter(created_at__gte=began)
    for _ in range(WORKFLOWS):
        if alias == "postgres":
            start(workflow)
        else:
            Engine(workflow.definition, OrmStore(using=alias)).create()  # rings for nobody
    ended = rows.filter(finished_at__isnull=False)
    with databases.shared(alias), workers(threads):
        while ended.count() < WORKFLOWS:
            time.sleep(0.05)
    times = list(rows.values_list("started_at", "finished_at"))
    seconds = max(end for _, end in times) - min(begin for begin, _ in times)
    return WORKFLOWS / seconds.total_seconds()


@contextmanager
def workers(threads: int, count: int = PROCESSES) -> Iterator[Sequence[subprocess.Popen[bytes]]]:
    """Have worker processes for as long as the block lasts."""
    begun = [
        subprocess.Popen([sys.executable, "-m", "bench.worker", str(threads)], env=os.environ)
        for _ in range(count)
    ]
    try:
        yield begun
    finally:
        for worker in begun:
            worker.send_signal(signal.SIGTERM)
        for worker in begun:
            worker.wait()


POSTGRES = Measure(
    name="queue-postgres",
    unit="workflows/s",
    prepare=contestants,
    targets=(
        Target(who=MANY, least=7, of="DBOS, default"),
        Target(who=MANY, least=400),
        Target(who=MANY, least=600),  # 3,000 steps a second, by group commit
    ),
)
RQ = Measure(
    name="queue-rq-postgres",
    unit="workflows/s",
    prepare=contestants_by_rq,
    targets=(Target(who=MANY, least=250),),
)
