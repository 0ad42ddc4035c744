"""
The measures in process and by queue over tables that are empty, and full of finished executions.

These are copies of one that ran, with its five entries, made by the database itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

from bench import databases, in_process, queue
from bench.harness import Contestant, Measure, Target
from bench.sizes import many

#: Finished executions; five entries for each.
EXECUTIONS = many(1_000_000, 50)

_COPY_EXECUTIONS = """
INSERT INTO {executions} ({columns})
SELECT {selected} FROM {executions} AS one, generate_series(1, %s) AS n WHERE one.id = %s
"""
_COPY_ENTRIES = """
INSERT INTO {entries} ({columns})
SELECT {selected} FROM {executions} AS e, {entries} AS one
WHERE one.execution_id = %s AND e.id <> %s
"""


@contextmanager
def contestants() -> Iterator[Mapping[str, Contestant]]:
    """Prepare an empty and a full database side by side; a figure is steps per second."""
    full = f"{EXECUTIONS:,} finished"
    with ExitStack() as held:
        held.enter_context(databases.database("postgres"))
        held.enter_context(databases.database("full"))
        fill("full", EXECUTIONS)
        yield {
            "in process, empty": in_process.rate(in_process.ours("postgres", pure=())),
            f"in process, {full}": in_process.rate(in_process.ours("full", pure=())),
            "queue, empty": partial(queued, "postgres"),
            f"queue, {full}": partial(queued, "full"),
        }


def queued(alias: str) -> float:
    """Return how many steps workers do in a second."""
    return queue.STEPS * queue.drained(32, alias)


def fill(alias: str, count: int) -> None:
    """Write ``count`` finished executions, each with the entries of one that ran."""
    from django.db import connections

    from bench.flows import steps
    from django_workflows.core.engine import Engine
    from django_workflows.models import WorkflowEntry, WorkflowExecution
    from django_workflows.stores.orm import OrmStore

    first = Engine(steps(5).definition, OrmStore(using=alias)).run({}).execution_id
    executions, entries = WorkflowExecution._meta, WorkflowEntry._meta
    with connections[alias].cursor() as cursor:
        columns = [field.column for field in executions.concrete_fields]
        selected = {"id": "gen_random_uuid()", "created_at": "one.created_at - n * interval '1 s'"}
        cursor.execute(
            _COPY_EXECUTIONS.format(
                executions=executions.db_table,
                columns=", ".join(f'"{column}"' for column in columns),
                selected=", ".join(selected.get(name, f'one."{name}"') for name in columns),
            ),
            [count, first],
        )
        columns = [field.column for field in entries.concrete_fields if field.column != "id"]
        selected = {"execution_id": "e.id"}
        cursor.execute(
            _COPY_ENTRIES.format(
                executions=executions.db_table,
                entries=entries.db_table,
                columns=", ".join(f'"{column}"' for column in columns),
                selected=", ".join(selected.get(name, f'one."{name}"') for name in columns),
            ),
            [first, first],
        )
        cursor.execute("ANALYZE")


POSTGRES = Measure(
    name="growth-postgres",
    unit="steps/s",
    prepare=contestants,
    targets=tuple(
        Target(who=f"{way}, {EXECUTIONS:,} finished", least=0.9, of=f"{way}, empty")
        for way in ("in process", "queue")
    ),
)
