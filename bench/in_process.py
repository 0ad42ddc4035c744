"""
Ten no-op steps with effects, one after another, in this process.

The limit is what the database can do at all: a bare loop of the same number of transactions, each
an UPDATE of one row and an INSERT of another through a Django cursor; on PostgreSQL as one
statement, as a checkpoint is.
"""

from __future__ import annotations

import atexit
import time
from collections.abc import Callable

STEPS = 10
WORKFLOWS = 100

_UPDATE = "UPDATE bench_execution SET ctx = %s, updated_at = %s WHERE id = 1"
_INSERT = "INSERT INTO bench_entry (execution_id, step, output) VALUES (1, %s, %s)"
_BOTH = f"WITH updated AS ({_UPDATE} RETURNING 1) {_INSERT}"


def measure(alias: str) -> dict[str, Callable[[], float]]:
    """Return the contestants on the database behind ``alias``: each returns steps per second."""
    from bench import databases

    databases.set_up(alias)
    atexit.register(databases.tear_down, alias)

    from django.db import connections

    from django_workflows.core.engine import Engine
    from django_workflows.core.workflow import Workflow, compile_workflow
    from django_workflows.steps import Assign, Call
    from django_workflows.stores.orm import OrmStore

    store = OrmStore(using=alias)
    ten = {f"step_{number}": Call(_nothing) for number in range(STEPS)}
    four_pure = {
        name: Assign(noted=number) if number % 5 in {1, 3} else Call(_nothing)
        for number, name in enumerate(ten)
    }

    def ours(steps: dict[str, object]) -> Callable[[], float]:
        made = type("Bench", (Workflow,), {"id": "bench", **steps})
        engine = Engine(compile_workflow(made), store)

        def run() -> float:
            for _ in range(WORKFLOWS):
                engine.run({}).raise_for_status()
            return STEPS * WORKFLOWS

        return rate(run)

    connection = connections[alias]
    _create_bare_tables(connection)
    return {
        "bare transactions": rate(lambda: _bare(connection)),
        "ours, 10 steps with effects": ours(ten),
        "ours, 4 of the 10 pure": ours(four_pure),
    }


def rate(run: Callable[[], float]) -> Callable[[], float]:
    """Return a contestant that says how many of what ``run`` counts it does in a second."""

    def timed() -> float:
        began = time.perf_counter()
        done = run()
        return done / (time.perf_counter() - began)

    return timed


def _nothing() -> None:
    """Do nothing, with effect."""


def _create_bare_tables(connection) -> None:
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


def _bare(connection) -> float:
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
