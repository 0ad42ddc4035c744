"""How soon a queued workflow of three steps has ended, while nothing else is going on."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from bench import databases
from bench.flows import steps
from bench.harness import Contestant, Measure, Target
from bench.peers import asked, is_there
from bench.queue import workers
from bench.sizes import many

SAMPLES, STEPS = many(60, 2), 3


@contextmanager
def contestants() -> Iterator[Mapping[str, Contestant]]:
    """Prepare them; a figure is the milliseconds within which half, or 95 of 100, have ended."""
    with ExitStack() as held:
        held.enter_context(databases.database("postgres"))
        held.enter_context(workers(1, count=1))
        found: dict[str, Contestant] = {
            f"ours, p{share}": partial(ours, share) for share in (50, 95)
        }
        if is_there("dbos"):
            url = held.enter_context(databases.empty_postgres("dbos"))
            peer = held.enter_context(asked("bench.peers.dbos", url, "best", "listening"))
            found |= {f"DBOS, best, p{n}": partial(peer.ask, f"latency-{n}") for n in (50, 95)}
        yield found


def ours(share: int) -> float:
    """Return the milliseconds within which ``share`` of a hundred have ended."""
    from django_workflows import start
    from django_workflows.models import WorkflowExecution

    workflow, times = steps(STEPS), []
    for _ in range(SAMPLES):
        time.sleep(random.uniform(0.05, 0.2))
        began = time.perf_counter()
        execution = start(workflow)
        ended = WorkflowExecution.objects.using("postgres").filter(
            id=execution.id, finished_at__isnull=False
        )
        while not ended.exists():
            time.sleep(0.0005)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.quantiles(times, n=100)[share - 1]


POSTGRES = Measure(
    name="latency-postgres",
    unit="ms",
    prepare=contestants,
    targets=(Target(who="ours, p50", most=8), Target(who="ours, p95", most=15)),
)
