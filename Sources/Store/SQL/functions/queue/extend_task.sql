-- Renews a claim by the lease it was made with; returns when the claim expires now.
--
--   token   the one that the task was claimed with
--
-- Raises GW001 when the worker lost its claim. Locks: the session, then the task (hold_task). Public worker function.
CREATE OR REPLACE FUNCTION gateway.extend_task(task_id bigint, worker text, token text DEFAULT NULL)
RETURNS timestamptz
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(extend_task.task_id, extend_task.worker, extend_task.token);
    v_until timestamptz := clock_timestamp() + v_task.lease;
BEGIN
    UPDATE gateway.agent_task t SET claim_expires_at = v_until
    WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
    RETURN v_until;
END $$;
