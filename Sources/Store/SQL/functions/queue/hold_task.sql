-- Locks a task and returns its row, if the worker still holds the claim: its name and its token are those of the claim.
-- Raises GW001 when it does not (see refuse_task), and 22023 when the token is missing (see check_worker_role).
-- Locks: the session (FOR NO KEY UPDATE), then the task (FOR UPDATE).
-- Called by complete_task, fail_task, extend_task and report_progress.
CREATE OR REPLACE FUNCTION gateway.hold_task(p_task bigint, p_worker text, p_token text)
RETURNS gateway.agent_task
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_task gateway.agent_task;
BEGIN
    PERFORM gateway.check_worker_role(p_token);
    SELECT * INTO v_task FROM gateway.agent_task t WHERE t.id = p_task;
    IF FOUND THEN
        PERFORM FROM gateway.chat_session s
        WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id FOR NO KEY UPDATE;
        SELECT * INTO v_task FROM gateway.agent_task t
        WHERE t.installation_id = v_task.installation_id AND t.id = p_task FOR UPDATE;
    END IF;
    IF v_task.status IS DISTINCT FROM 'claimed' OR v_task.worker IS DISTINCT FROM p_worker
        OR v_task.claim_key IS DISTINCT FROM gateway.claim_key(p_token)
    THEN
        PERFORM gateway.refuse_task(p_task, p_worker);
    END IF;
    RETURN v_task;
END $$;
