"""
Tables as a busy site has them after a month, written by PostgreSQL itself.

Workflows of many versions and sizes, a tenth of all executions children of others, a tenth waiting
for a decision, and errors that differ in their numbers alone.
"""

from __future__ import annotations

from typing import Any

#: Each workflow, and how many of a hundred executions are its own.
WORKFLOWS = {
    "orders": 40,
    "billing": 20,
    "imports": 15,
    "returns": 10,
    "mailing": 8,
    "onboarding": 4,
    "audit": 2,
    "closing": 1,
}
STEPS = ("validate", "reserve", "review", "charge", "ship")

ERRORS = (
    "ValueError: Order {n} has no lines",
    "ConnectionError: payments did not answer within 30 s, attempt {m}",
    "BadRow: Row {n}, column {m}: this is no date\nIt reads 31.02.",
    "KeyError: 'total'",
    "OutOfStock: {m} of product {n} wanted, none left",
    "IntegrityError: duplicate key {u}",
    "StepTimeout: Step 'charge' took longer than {m} s",
    "PermissionError: /var/imports/{n}.csv",
)
APPROVERS = (
    '["group:managers"]',
    '["group:managers"]',
    '["group:buyers","user:ann"]',
    '["group:finance"]',
    '["perm:shop.approve_order"]',
    '["user:approver{m}"]',
    '["user:approver{m}","group:auditors"]',
    "[]",
)

#: The moment, the fate and the workflow of each; id as core.ids makes it, so that ids go with time.
_PLAN = """
CREATE TEMP TABLE plan AS
SELECT n, at, dice,
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
        || substr(md5(n::text), 1, 3) || '8' || substr(md5(n::text), 4, 15))::uuid AS id,
    CASE WHEN dice < 0.83 THEN 'completed' WHEN dice < 0.965 THEN 'halted'
        WHEN dice < 0.985 THEN 'failed' WHEN dice < 0.995 THEN 'cancelled'
        WHEN dice < 0.9995 THEN 'pending' ELSE 'running' END AS status,
    (%(workflows)s::text[])[1 + floor(random() * 100)::int] AS workflow,
    (1 + n * 3 / %(count)s)::text AS version,
    (%(steps)s::text[])[1 + floor(random() * 5)::int] AS step,
    floor(random() * 300)::int AS who
FROM (
    SELECT n, random() AS dice,
        now() - interval '30 days' * (1 - n::float8 / %(count)s) - interval '1 minute' AS at
    FROM generate_series(1, %(count)s) AS n
) AS numbered
"""

_EXECUTIONS = """
INSERT INTO {executions} (
    id, workflow_id, workflow_version, status, input, ctx, current_step, frames, result, error,
    halt_data, recover_to, created_at, updated_at, started_at, finished_at, compensations, fence,
    claims, attempt, parent_id, parent_step, item, idempotency_key, subject, started_by, queue,
    priority)
SELECT id, workflow, version, status,
    format('{{"order_id":%%s,"express":false,"customer":"customer %%s"}}', n, who),
    format('{{"validate":{{"number":%%s,"total":%%s,"lines":["%%s","%%s"]}},"reserve":true}}',
        n, who, md5(n::text), md5(who::text)),
    CASE WHEN status <> 'pending' THEN step END, %(frames)s,
    CASE WHEN status = 'completed' THEN format('{{"shipment":%%s}}', n) END,
    CASE WHEN status = 'failed' THEN replace(replace(replace(
        (%(errors)s::text[])[1 + floor(power(random(), 2) * %(kinds)s)::int],
        '{{n}}', n::text), '{{m}}', (who %% 40)::text), '{{u}}', id::text)
        WHEN status = 'cancelled' THEN 'Cancelled: no longer wanted' END,
    CASE WHEN status = 'halted' THEN '{{}}' END, CASE WHEN status = 'halted' THEN step END,
    at, at + interval '1 minute',
    CASE WHEN status <> 'pending' THEN at + interval '2 s' END,
    CASE WHEN status IN ('completed', 'failed', 'cancelled')
        THEN least(at + interval '2 hours' * random(), now()) END,
    '[]', 3, 0, 1, {parent}, {parent_step}, {item},
    CASE WHEN n %% 2 = 0 THEN 'order-' || n END,
    CASE WHEN n %% 3 > 0 THEN 'shop.order:' || n / 4 END,
    'person' || who, CASE WHEN n %% 5 = 0 THEN 'slow' END, 0
FROM plan {joined} WHERE {which}
"""

#: Every tenth belongs to the one that was planned before it.
ROOTS = {
    "parent": "NULL::uuid",
    "parent_step": "NULL",
    "item": "NULL::int",
    "joined": "",
    "which": "n %% 10 > 0",
}
CHILDREN = {
    "parent": "parent_id",
    "parent_step": "'each'",
    "item": "1",
    "joined": "JOIN (SELECT n + 1 AS n, id AS parent_id FROM plan) AS before USING (n)",
    "which": "n %% 10 = 0",
}

_ENTRIES = """
INSERT INTO {entries} (
    execution_id, step_id, step_type, action, attempt, duration_ms, input, output, error, traceback,
    "by", "timestamp")
SELECT id, (%(steps)s::text[])[k], 'call',
    CASE WHEN k < 5 OR status = 'completed' THEN 'completed'
        WHEN status IN ('failed', 'halted', 'cancelled') THEN status ELSE 'retried' END,
    1, floor(20 * k * power(random(), 3))::int, '{{"order_id":1}}',
    format('{{"number":%%s,"total":%%s}}', n, who),
    CASE WHEN k = 5 AND status = 'failed' THEN 'ValueError: Order ' || n || ' has no lines' END,
    CASE WHEN k = 5 AND status = 'failed' THEN repeat('  File "steps.py"' || chr(10), 9) END,
    NULL, at + interval '2 s' * k
FROM plan, generate_series(1, 5) AS k
"""

#: Of those that are halted three in four ask for a decision; what is finished has had one, too.
_WAITS = """
INSERT INTO {waits} (
    id, execution_id, step, kind, status, prompt, data, approvers, required, exclude_requester,
    wake_at, key, opened_at, settled_at, answers)
SELECT gen_random_uuid(), id, step, kind, CASE WHEN status = 'halted' THEN 'open' ELSE 'taken' END,
    format('Order %%s is over 1,000', n), format('{{"total":%%s}}', who),
    CASE WHEN kind = 'approval' THEN replace((%(approvers)s::text[])[1 + n %% %(lists)s],
        '{{m}}', (who %% 200)::text) ELSE '[]' END,
    1, n %% 2 = 0, CASE WHEN kind = 'timer' THEN now() + interval '1 day' * random() END,
    CASE WHEN kind = 'event' THEN 'paid:' || n END, at + interval '10 s',
    CASE WHEN status <> 'halted' THEN at + interval '1 minute' END, '[]'
FROM (
    SELECT *, CASE WHEN n %% 4 < 3 THEN 'approval' WHEN n %% 8 = 3 THEN 'timer'
        WHEN n %% 16 = 7 THEN 'halt' ELSE 'event' END AS kind
    FROM plan WHERE status = 'halted' OR (status = 'completed' AND n %% 3 = 0)
) AS waiting
"""

_VERSIONS = """
INSERT INTO {versions} (workflow_id, version, graph)
SELECT DISTINCT workflow, version, '{{"steps":[]}}' FROM plan
"""


def fill(count: int) -> None:
    """Write ``count`` executions, five entries for each, and what some of them wait for."""
    from django.db import connection

    from django_workflows.core import codec
    from django_workflows.core.frames import Cursor
    from django_workflows.models import (
        WorkflowEntry,
        WorkflowExecution,
        WorkflowVersion,
        WorkflowWait,
    )

    tables = {
        "executions": WorkflowExecution._meta.db_table,
        "entries": WorkflowEntry._meta.db_table,
        "waits": WorkflowWait._meta.db_table,
        "versions": WorkflowVersion._meta.db_table,
    }
    given: dict[str, Any] = {
        "count": count,
        "workflows": [name for name, share in WORKFLOWS.items() for _ in range(share)],
        "steps": list(STEPS),
        "frames": codec.compact(Cursor().to_dict()),
        "errors": list(ERRORS),
        "kinds": len(ERRORS),
        "approvers": list(APPROVERS),
        "lists": len(APPROVERS),
    }
    with connection.cursor() as cursor:
        for name in ("entries", "waits", "executions"):  # nobody wants a log of this
            cursor.execute(f"ALTER TABLE {tables[name]} SET UNLOGGED")
        cursor.execute("SELECT setseed(0.5)")
        cursor.execute(_PLAN, given)
        for sql in (
            *(_EXECUTIONS.format(**tables, **kin) for kin in (ROOTS, CHILDREN)),
            *(sql.format(**tables) for sql in (_ENTRIES, _WAITS, _VERSIONS)),
        ):
            cursor.execute(sql, given)
        cursor.execute("VACUUM ANALYZE")
