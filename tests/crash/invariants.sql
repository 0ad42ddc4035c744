-- What must hold once nothing is under way any more: each row is something that does not.
-- `patience` is how long something may be pending, or a chore be left, and still be picked up.
CREATE OR REPLACE FUNCTION workflow_violations(patience interval)
RETURNS TABLE (rule text, execution uuid, detail text) LANGUAGE sql STABLE AS $$
    -- Nobody is runnable and forgotten.
    SELECT 'pending for too long', e.id, e.workflow_id || ' since ' || e.updated_at
    FROM django_workflows_workflowexecution e
    WHERE e.status = 'pending' AND e.updated_at < now() - patience
UNION ALL
    SELECT 'lease ran out', e.id, e.lease_owner
    FROM django_workflows_workflowexecution e
    WHERE e.status = 'running' AND (e.lease_expires_at IS NULL OR e.lease_expires_at < now() - patience)
UNION ALL
    SELECT 'halted without a reason', e.id, e.workflow_id
    FROM django_workflows_workflowexecution e
    WHERE e.status = 'halted' AND NOT EXISTS (
        SELECT 1 FROM django_workflows_workflowwait w WHERE w.execution_id = e.id AND w.status = 'open')
    AND NOT (e.fence = 0 AND e.parent_id IS NOT NULL)  -- held until its turn in a fan-out
UNION ALL
    SELECT 'wait long due', w.execution_id, w.step || ' at ' || w.wake_at
    FROM django_workflows_workflowwait w
    WHERE w.status = 'open' AND w.wake_at < now() - patience
UNION ALL
    SELECT 'chore left', c.execution_id, c.kind || ' at ' || c.due_at
    FROM django_workflows_workflowchore c WHERE c.due_at < now() - patience
UNION ALL
    -- What is told of an execution fits its status.
    SELECT 'lease without a driver', e.id, e.lease_owner
    FROM django_workflows_workflowexecution e
    WHERE e.status <> 'running' AND (e.lease_owner IS NOT NULL OR e.lease_expires_at IS NOT NULL)
UNION ALL
    SELECT 'end without a time, or a time without an end', e.id, e.status
    FROM django_workflows_workflowexecution e
    WHERE (e.status IN ('completed', 'failed', 'cancelled')) <> (e.finished_at IS NOT NULL)
UNION ALL
    SELECT 'halt data after the halt', e.id, e.status
    FROM django_workflows_workflowexecution e
    WHERE e.status <> 'halted' AND e.halt_data IS NOT NULL AND e.halt_data::text <> 'null'
UNION ALL
    SELECT 'result before the end', e.id, e.status
    FROM django_workflows_workflowexecution e
    WHERE e.status <> 'completed' AND e.result IS NOT NULL AND e.result::text <> 'null'
UNION ALL
    SELECT 'end without an error', e.id, e.status
    FROM django_workflows_workflowexecution e
    WHERE e.status IN ('failed', 'cancelled') AND e.error IS NULL
UNION ALL
    SELECT 'error of what went well', e.id, e.error
    FROM django_workflows_workflowexecution e
    WHERE e.status IN ('pending', 'completed') AND e.error IS NOT NULL
UNION ALL
    SELECT 'open wait of what has ended', e.id, w.step
    FROM django_workflows_workflowexecution e
    JOIN django_workflows_workflowwait w ON w.execution_id = e.id
    WHERE e.status IN ('completed', 'failed', 'cancelled') AND w.status IN ('open', 'settled')
UNION ALL
    SELECT 'child of what has ended', e.id, p.status
    FROM django_workflows_workflowexecution e
    JOIN django_workflows_workflowexecution p ON p.id = e.parent_id
    WHERE p.status IN ('completed', 'failed', 'cancelled')
    AND e.status IN ('pending', 'running', 'halted') AND p.finished_at < now() - patience
UNION ALL
    -- A visit to a step completes once, unless somebody had it driven again.
    SELECT 'step completed twice', t.execution_id, t.step_id || ': ' || count(*)
    FROM django_workflows_workflowentry t
    WHERE t.action = 'completed' AND NOT EXISTS (
        SELECT 1 FROM django_workflows_workflowentry again
        WHERE again.execution_id = t.execution_id AND again.action = 'retried' AND again.error IS NULL)
    GROUP BY t.execution_id, t.step_id HAVING count(*) > 1
UNION ALL
    SELECT 'wait answered twice', t.execution_id, t.step_id || ': ' || count(*)
    FROM django_workflows_workflowentry t
    JOIN django_workflows_workflowwait w
        ON w.execution_id = t.execution_id AND w.step = t.step_id
    WHERE t.action = 'resumed'
    GROUP BY t.execution_id, t.step_id
    HAVING count(DISTINCT t.id) > sum(w.required) / count(DISTINCT t.id)
UNION ALL
    SELECT 'event of a wait that has not taken it', w.execution_id, v.name || ':' || v.key
    FROM django_workflows_workflowevent v
    JOIN django_workflows_workflowwait w ON w.id = v.taken_by
    WHERE w.status IN ('open', 'withdrawn') AND w.settled_at IS NULL
UNION ALL
    -- Effects of atomic steps: exactly once.
    SELECT 'effect done twice', f.execution, f.key || ': ' || count(*)
    FROM ledger_effect f GROUP BY f.execution, f.key HAVING count(*) > 1
UNION ALL
    SELECT 'effect without its step', f.execution, f.name
    FROM ledger_effect f WHERE NOT EXISTS (
        SELECT 1 FROM django_workflows_workflowentry t
        WHERE t.execution_id = f.execution AND t.step_id = f.name
        AND t.action IN ('completed', 'compensated'));
$$;
