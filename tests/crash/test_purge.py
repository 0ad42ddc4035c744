"""R17: a purge is killed with -9 again and again, while starts go on; only whole trees are gone."""

import random
import signal
import threading
import time

from django.db import connection

from django_workflows import api, resume, wiring
from django_workflows.core.execution import ExecutionStatus
from django_workflows.models import WorkflowEntry, WorkflowExecution
from tests.crash.fleet import Member
from tests.crash.invariants import assert_invariants
from tests.crash.ledger.workflows import Asking, Decided, Pair
from tests.crash.servers import wait_until

#: Roots that ended a month ago. What is below them is told by their queue: of every tenth, two
#: children, of which the first has a child of its own.
ROOTS = """
INSERT INTO django_workflows_workflowexecution (
    id, workflow_id, workflow_version, status, input, ctx, frames, compensations, error, queue,
    created_at, updated_at, finished_at, fence, claims, attempt, priority, idempotency_key)
SELECT md5('r' || n)::uuid, 'decided', '', CASE WHEN n %% 20 = 1 THEN 'failed' ELSE 'completed' END,
    '{}', '{"old": true}', '{}', '[]', CASE WHEN n %% 20 = 1 THEN 'ValueError: no' END,
    CASE WHEN n %% 10 = 0 THEN 'tree' ELSE 'alone' END,
    ended, ended, ended, 1, 0, 1, 0, 'order ' || n
FROM generate_series(1, %(count)s) AS n, LATERAL (
    SELECT now() - interval '30 days' + n * interval '1 ms' AS ended) AS moments
"""
BELOW = """
INSERT INTO django_workflows_workflowexecution (
    id, workflow_id, workflow_version, status, input, ctx, frames, compensations, parent_id,
    parent_step, queue, created_at, updated_at, finished_at, fence, claims, attempt, priority)
SELECT md5(kind || n)::uuid, 'decided', '', 'completed', '{}', '{}', '{}', '[]',
    md5(above || n)::uuid, 'child', 'below', now(), now(), now(), 1, 0, 1, 0
FROM generate_series(10, %(count)s, 10) AS n,
    (VALUES ('a', 'r'), ('b', 'r'), ('c', 'a')) AS given(kind, above)
ORDER BY kind
"""
HISTORY = """
INSERT INTO django_workflows_workflowentry (
    execution_id, step_id, step_type, action, attempt, timestamp)
SELECT id, step, 'call', 'completed', 1, finished_at
FROM django_workflows_workflowexecution, (VALUES ('review'), ('yes')) AS steps(step)
WHERE finished_at IS NOT NULL
"""
WAITS = """
INSERT INTO django_workflows_workflowwait (
    id, execution_id, step, kind, status, data, approvers, required, exclude_requester, answers,
    opened_at, settled_at, key)
SELECT md5('w' || id)::uuid, id, 'review', 'event', 'taken', '{}', '[]', 1, false, '[]',
    finished_at, finished_at, 'sent:' || id
FROM django_workflows_workflowexecution WHERE finished_at IS NOT NULL AND queue = 'alone'
"""
EVENTS = """
INSERT INTO django_workflows_workflowevent (id, name, key, sent_at, taken_by)
SELECT md5('v' || id)::uuid, 'sent', '', opened_at, id FROM django_workflows_workflowwait
"""

#: Rows that hang on nothing, and trees of which a part is gone.
TORN = """
SELECT 'entry', execution_id FROM django_workflows_workflowentry t
WHERE NOT EXISTS (SELECT 1 FROM django_workflows_workflowexecution e WHERE e.id = t.execution_id)
UNION ALL
SELECT 'wait', execution_id FROM django_workflows_workflowwait w
WHERE NOT EXISTS (SELECT 1 FROM django_workflows_workflowexecution e WHERE e.id = w.execution_id)
UNION ALL
SELECT 'event', taken_by FROM django_workflows_workflowevent v
WHERE NOT EXISTS (SELECT 1 FROM django_workflows_workflowwait w WHERE w.id = v.taken_by)
UNION ALL
SELECT 'chore', execution_id FROM django_workflows_workflowchore c WHERE execution_id IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM django_workflows_workflowexecution e WHERE e.id = c.execution_id)
UNION ALL
SELECT 'child', id FROM django_workflows_workflowexecution e WHERE parent_id IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM django_workflows_workflowexecution p WHERE p.id = e.parent_id)
UNION ALL
SELECT 'tree', id FROM django_workflows_workflowexecution e WHERE queue = 'tree' AND 3 <> (
    SELECT count(*) FROM django_workflows_workflowexecution c WHERE c.parent_id = e.id) + (
    SELECT count(*) FROM django_workflows_workflowexecution g
    JOIN django_workflows_workflowexecution c ON c.id = g.parent_id WHERE c.parent_id = e.id)
UNION ALL
SELECT 'history', id FROM django_workflows_workflowexecution e
WHERE queue IN ('tree', 'alone', 'below') AND 2 <> (
    SELECT count(*) FROM django_workflows_workflowentry t WHERE t.execution_id = e.id)
"""


class Starts:
    """Starts executions at a rate, from threads of its own, and notes how long each takes."""

    def __init__(self, rate, threads=4):
        self.pause = threads / rate
        self.took = []
        self.done = threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(threads)]
        for thread in self.threads:
            thread.start()

    def run(self):
        try:
            due = time.monotonic()
            while not self.done.wait(max(0.0, due - time.monotonic())):
                began = time.monotonic()
                Pair.start()
                self.took.append(time.monotonic() - began)
                due = max(due + self.pause, began)
        finally:
            connection.close()

    def p95(self, wait):
        """Return the 95th percentile, in ms, of what is started during ``wait()``."""
        first = len(self.took)
        wait()
        took = sorted(self.took[first:])
        return 1000 * took[int(0.95 * len(took))]

    def stop(self):
        self.done.set()
        for thread in self.threads:
            thread.join()


class Purge:
    """A ``workflows purge``, as cron runs it."""

    def __init__(self, *options):
        self.member = Member("purge", "--older-than=7", *options)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.member.close()

    def is_under_way(self):
        """Wait until it has deleted something."""
        first = oldest()
        wait_until(lambda: oldest() != first, "a purge at work")

    def kill(self):
        """Kill it with -9; say whether it was at work still."""
        was_at_work = self.member.is_alive()
        self.member.send(signal.SIGKILL)
        self.member.process.wait()
        return was_at_work

    def stop(self):
        """End it by SIGTERM, and return what it said."""
        self.member.send(signal.SIGTERM)
        return self.end()

    def end(self):
        """Wait for its end, and return what it said."""
        assert self.member.process.wait(3600) == 0, self.member.output()
        return self.member.output()


def asked(sql, **params):
    with connection.cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else None


def oldest():
    """Return when the first of them ended that is left; read from an index, for who asks often."""
    ((moment,),) = asked(
        "SELECT min(finished_at) FROM django_workflows_workflowexecution WHERE parent_id IS NULL"
    )
    return moment


def old():
    """Return how many roots are left of those that were put there."""
    ((count,),) = asked(
        "SELECT count(*) FROM django_workflows_workflowexecution"
        " WHERE queue IN ('tree', 'alone') AND finished_at < now() - interval '7 days'"
    )
    return count


def others():
    """Return the ids of what was not put there to be purged."""
    found = WorkflowExecution.objects.filter(queue=None).values_list("id", flat=True)
    return set(found)


def assert_nothing_is_torn():
    found = asked(TORN)
    assert not found, f"{len(found)} rows: {found[:10]}"


def fill(roots):
    for sql in (ROOTS, BELOW, HISTORY, WAITS, EVENTS):
        asked(sql, **({"count": roots} if "%(count)s" in sql else {}))
    for table in ("execution", "entry", "wait", "event"):
        asked(f"VACUUM ANALYZE django_workflows_workflow{table}")


def test_purge_is_killed_while_starts_go_on(database, is_long, seed, figures):
    roots, kills, rate, quiet = (1_000_000, 50, 200, 60) if is_long else (4000, 6, 50, 4)
    chance = random.Random(seed)
    fill(roots)
    waiting = Asking.run().execution_id
    for number in range(20):
        api.cancel(Decided.start(idempotency_key=f"young {number}").id, "no need")
    kept = others()
    assert len(kept) == 2 + 20

    starts, hits = Starts(rate), 0
    try:
        idle = starts.p95(lambda: time.sleep(quiet))
        for _ in range(kills):
            with Purge("--batch=25", "--pause=0.01") as purge:
                purge.is_under_way()
                time.sleep(chance.uniform(0, 0.3))
                hits += purge.kill()
            if not is_long:  # it reads through all that is left
                assert_nothing_is_torn()
        with Purge() as purge:
            purge.is_under_way()
            busy = starts.p95(lambda: time.sleep(quiet))
            assert "Stopped before the end" in purge.stop()
        left, began = old(), time.monotonic()
        with Purge("--pause=0") as purge:
            purge.end()
        seconds = time.monotonic() - began
    finally:
        starts.stop()

    assert_nothing_is_torn()
    assert old() == 0
    assert kept <= others()
    started = WorkflowExecution.objects.filter(workflow_id="pair", status="pending").count()
    assert started == len(others() - kept) == len(starts.took)
    assert_a_key_is_free(1 + chance.randrange(roots))
    assert_goes_on(waiting)
    assert_invariants(24 * 3600)
    figures(
        trees=roots,
        kills=kills,
        at_work=hits,
        trees_per_second=left / seconds,
        starts=len(starts.took),
        start_p95_idle_ms=idle,
        start_p95_purging_ms=busy,
    )
    assert hits >= 0.8 * kills
    assert not is_long or busy < 1.2 * idle


def assert_a_key_is_free(number):
    """Start anew what is purged: it is another execution, and sees nothing of the one before."""
    new = Decided.run(idempotency_key=f"order {number}").execution_id

    assert api.get(new).ctx == {}
    assert {entry.step_id for entry in WorkflowEntry.objects.filter(execution=new)} == {"review"}
    done = resume(new, approved=True, by="robot", wait=True)
    assert done.status == ExecutionStatus.COMPLETED


def assert_goes_on(parent):
    """Decide the child of a parent that has waited for it all the time."""
    child = WorkflowExecution.objects.get(parent=parent)
    done = resume(child.id, approved=True, by="robot", wait=True)
    wiring.drive(parent)

    assert done.status == api.get(parent).status == ExecutionStatus.COMPLETED
