"""
Ten no-op steps, one after another, in this process.

The limit is what the database can do at all: a bare loop of the same number of transactions, each
an UPDATE of one row and an INSERT of another through a Django cursor; on PostgreSQL as one
statement, as a checkpoint is.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from bench import databases
from bench.flows import nothing
from bench.harness import Contestant, Measure, Target
from bench.peers import asked, is_there
from bench.sizes import many

STEPS, WORKFLOWS = 10, many(100, 2)

BARE, TEN, PURE = "bare transactions", "ours, 10 steps with effects", "ours, 4 of the 10 pure"

_UPDATE = "UPDATE bench_execution SET ctx = %s, updated_at = %s WHERE id = 1"
_INSERT = "INSERT INTO bench_entry (execution_id, step, output) VALUES (1, %s, %s)"
_BOTH = f"WITH updated AS ({_UPDATE} RETURNING 1) {_INSERT}"


@contextmanager
def contestants(alias: str) -> Iterator[Mapping[str, Contestant]]:
    """Prepare those on the database behind ``alias``; a figure is steps per second."""
    with ExitStack() as held:
        held.enter_context(databases.database(alias))
        from django.db import connections

        connection = connections[alias]
        _create_bare_tables(connection)
        found = {
            BARE: rate(lambda: _bare(connection)),
            TEN: rate(ours(alias, pure=())),
            PURE: rate(ours(alias, pure={1, 3})),
        }
        if alias == "postgres" and is_there("dbos"):
            for mode in ("default", "best"):
                url = held.enter_context(databases.empty_postgres(f"dbos_{mode}"))
                peer = held.enter_context(asked("bench.peers.dbos", url, mode))
                found[f"DBOS, {mode}"] = partial(peer.ask, "in-process")
        yield found


def ours(alias: str, *, pure: Any) -> Callable[[], float]:
    """Return what runs them on ``alias``; the numbers ``pure`` of each five have no effect."""
    from django_workflows.core.engine import Engine
    from django_workflows.core.workflow import Workflow, compile_workflow
    from django_workflows.steps import Assign, Call
    from django_workflows.stores.orm import OrmStore

    steps: dict[str, object] = {
        f"step_{n}": Assign(noted=n) if n % 5 in pure else Call(nothing) for n in range(STEPS)
    }
    made = type("Bench", (Workflow,), {"id": "bench", **steps})
    engine = Engine(compile_workflow(made), OrmStore(using=alias))

    def run() -> float:
        for _ in range(WORKFLOWS):
            engine.run({}).raise_for_status()
        return STEPS * WORKFLOWS

    return run


def rate(run: Callable[[], float]) -> Contestant:
    """Return a contestant that says how many of what ``run`` counts it does in a second."""

    def timed() -> float:
        began = time.perf_counter()
        done = run()
        return done / (time.perf_counter() - began)

    return timed


def _create_bare_tables(connection: Any) -> None:
    key = (
        "integer PRIMARY KEY AUTOINCREMENT"
        if connection.vendor == "sqlite"
        else "bigserial PRIMARY KEY"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bench_execution (id integer PRIMARY KEY, ctx text, updated_at text)"
        )
        cursor.execute(
            f"CREATE TABLE bench_entry (id {key}, execution_id integer, step text, output text)"
        )
        cursor.execute("INSERT INTO bench_execution VALUES (1, '{}', '')")


def _bare(connection: Any) -> float:
    from django.db import transaction

    count = STEPS * WORKFLOWS
    with connection.cursor() as cursor:
        for number in range(count):
            values = ("{}", str(number))
            if connection.vendor == "postgresql":
                cursor.execute(_BOTH, [*values, "step", "null"])
            else:
                with transaction.atomic(using=connection.alias):
                    cursor.execute(_UPDATE, values)
                    cursor.execute(_INSERT, ["step", "null"])
    return count


POSTGRES = Measure(
    name="in-process-postgres",
    unit="steps/s",
    prepare=partial(contestants, "postgres"),
    targets=(
        Target(who=TEN, least=0.75, of=BARE),
        Target(who=TEN, least=5, of="DBOS, default"),
        Target(who=PURE, least=1.5, of=TEN),
    ),
)
SQLITE = Measure(
    name="in-process-sqlite",
    unit="steps/s",
    prepare=partial(contestants, "sqlite"),
    targets=(Target(who=TEN, least=2500),),
)
