"""
How long it takes from asking for a killed workflow to its next step, by the steps that it had done.

A child process drives it and dies in step H + 1, as by kill -9; its lease is let run out by hand,
since how long a lease is has nothing to do with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from bench import databases
from bench.harness import Contestant, Measure, Target
from bench.sizes import many

HEIGHTS = (10, many(1000, 20), many(10_000, 30))

#: What a step of the workflow finds out about the process it is in.
DIES = "BENCH_DIES"


@contextmanager
def contestants() -> Iterator[Mapping[str, Contestant]]:
    """Prepare them; a figure is milliseconds."""
    with databases.database("postgres"):
        yield {f"after {height:,} steps": partial(recovered, height) for height in HEIGHTS}


def recovered(height: int) -> float:
    """Let a process die after ``height`` steps, and return the milliseconds to the next one."""
    from django_workflows import start, wiring
    from django_workflows.core import clock
    from django_workflows.models import WorkflowExecution

    workflow = looped()
    execution = start(workflow, {"height": height})
    child = [sys.executable, "-m", "bench.recovery", execution.id]
    subprocess.run(child, env={**os.environ, DIES: "1"}, check=False)
    rows = WorkflowExecution.objects.using("postgres").filter(id=execution.id, status="running")
    assert rows.update(lease_expires_at=clock.now()) == 1
    began = time.perf_counter()
    wiring.drive(execution.id)
    return 1000 * (SEEN.pop() - began)


#: When the step after the crash began.
SEEN: list[float] = []


def last(state: Any) -> None:
    """Be the step at which a process dies, and that another begins with."""
    if DIES in os.environ:
        os._exit(9)
    SEEN.append(time.perf_counter())


def looped() -> Any:
    """Return a registered workflow of as many steps as its input says, and one more."""
    from django_workflows import F, Q, Workflow, register
    from django_workflows.core.workflow import registry
    from django_workflows.steps import Assign, Call, Router, When

    if "bench-looped" in registry:
        return registry["bench-looped"]
    made = {
        "begin": Assign(done=0),
        "work": Call(lambda state: state.ctx["done"] + 1, output="done"),
        "again": Router(When(Q(done__gte=F("input__height")), then="last"), default="work"),
        "last": Call(last),
    }
    return register(type("Looped", (Workflow,), {"id": "bench-looped", **made}))


POSTGRES = Measure(
    name="recovery-postgres",
    unit="ms",
    prepare=contestants,
    targets=(
        *(Target(who=f"after {height:,} steps", most=10) for height in HEIGHTS),
        Target(who=f"after {HEIGHTS[-1]:,} steps", most=2, of=f"after {HEIGHTS[0]:,} steps"),
    ),
)

if __name__ == "__main__":
    databases.configure()
    from django_workflows import wiring

    looped()
    wiring.drive(sys.argv[1])
