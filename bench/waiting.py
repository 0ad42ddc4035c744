"""
Steps that each wait a second for something outside, in one worker process, 200 at once.

Beside how many are done in a second it is told how much memory the process has taken at most,
more than one has that has done nothing yet.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench import databases
from bench.flows import await_, wait, waiting
from bench.harness import Contestant, Measure, Target
from bench.queue import workers
from bench.sizes import many

STEPS, THREADS = many(2000, 4), many(200, 2)

#: Seconds in which a worker has come to rest that has nothing to do.
SETTLED = many(3, 1)

WORK = {"sync steps": wait, "async steps": await_}


@contextmanager
def contestants(of: int) -> Iterator[Mapping[str, Contestant]]:
    """Prepare them; a figure is steps per second, or MB of memory, as ``of`` picks from both."""
    with databases.database("postgres"):
        yield {name: partial(_figure, work, of) for name, work in WORK.items()}


def _figure(work: Any, of: int) -> float:
    return measured(work)[of]


def measured(work: Any) -> tuple[float, float]:
    """Let a worker do all of them; return the steps per second, and the MB of memory."""
    from django_workflows import start
    from django_workflows.models import WorkflowExecution

    everything = WorkflowExecution.objects.using("postgres")
    everything.delete()
    with workers(THREADS, count=1) as (worker,):
        time.sleep(SETTLED)
        before = memory(worker)
        for _ in range(STEPS):
            start(waiting(work))
        while everything.filter(finished_at__isnull=False).count() < STEPS:
            time.sleep(0.1)
        after = memory(worker)
    times = list(everything.values_list("started_at", "finished_at"))
    seconds = max(end for _, end in times) - min(begin for begin, _ in times)
    return STEPS / seconds.total_seconds(), after - before


def memory(worker: subprocess.Popen[bytes]) -> float:
    """Return the most memory that a process of Linux has had so far, in MB."""
    lines = Path(f"/proc/{worker.pid}/status").read_text().splitlines()
    (most,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(most) / 1024


RATE = Measure(
    name="waiting-postgres",
    unit="steps/s",
    prepare=partial(contestants, 0),
    # 200 at once, each a second: so many that at least nine in ten are waiting.
    targets=tuple(Target(who=name, least=180) for name in WORK),
)
MEMORY = Measure(
    name="waiting-memory-postgres",
    unit="MB",
    prepare=partial(contestants, 1),
    targets=tuple(Target(who=name, most=60) for name in WORK),
)
