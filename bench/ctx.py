"""What a step costs while the workflow carries more and more variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bench import databases
from bench.flows import nothing
from bench.harness import Contestant, Measure, Target
from bench.in_process import rate
from bench.sizes import many

STEPS = 10

SIZES = {"200 B": 200, "10 KB": 10_000, "100 KB": 100_000, "1 MB": 1_000_000}


@contextmanager
def contestants() -> Iterator[Mapping[str, Contestant]]:
    """Prepare them; a figure is milliseconds a step."""
    with databases.database("postgres"):
        yield {name: _step(size) for name, size in SIZES.items()}


def _step(size: int) -> Contestant:
    from django_workflows.core.engine import Engine
    from django_workflows.core.engine.limits import Limits
    from django_workflows.core.workflow import Workflow, compile_workflow
    from django_workflows.steps import Assign, Call
    from django_workflows.stores.orm import OrmStore

    made: dict[str, Any] = {"load": Assign(load="x" * (size - 50))}
    made |= {f"step_{number}": Call(nothing) for number in range(STEPS)}
    engine = Engine(
        compile_workflow(type("Bench", (Workflow,), {"id": "bench", **made})),
        OrmStore(using="postgres"),
        limits=Limits(payload_bytes=2_000_000),
    )
    workflows = many(max(2, min(40, 4_000_000 // size)), 1)

    def run() -> float:
        for _ in range(workflows):
            engine.run({}).raise_for_status()
        return STEPS * workflows

    timed = rate(run)
    return lambda: 1000 / timed()


POSTGRES = Measure(
    name="ctx-postgres",
    unit="ms a step",
    prepare=contestants,
    targets=tuple(
        Target(who=who, most=most, of="200 B")
        for who, most in {"10 KB": 1.3, "100 KB": 3.0, "1 MB": 20.0}.items()
    ),
)
