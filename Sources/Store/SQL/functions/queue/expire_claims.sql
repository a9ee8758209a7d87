-- Gives back tasks whose claim has expired, up to 100: each is queued again as its next attempt, or failed after the
-- fifth (see finish_failed). Returns how many.
--
--   p_runtime   NULL means every runtime
--
-- A task that was queued for the session meanwhile is cancelled: the task that is given back covers its messages too.
-- Locks: sessions (FOR NO KEY UPDATE SKIP LOCKED), then each task (FOR UPDATE). Called by claim_task and by the
-- gateway.
CREATE OR REPLACE FUNCTION gateway.expire_claims(p_runtime text DEFAULT NULL) RETURNS int LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Read once: the volatile clock_timestamp() in the condition would keep the index from being used.
    v_now timestamptz := clock_timestamp();
    v_task gateway.agent_task;
    v_count int := 0;
BEGIN
    FOR v_task IN
        SELECT t.* FROM gateway.agent_task t
        JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
        WHERE t.status = 'claimed' AND t.claim_expires_at < v_now
            AND (p_runtime IS NULL OR t.runtime_id = p_runtime)
        ORDER BY t.claim_expires_at LIMIT 100
        FOR NO KEY UPDATE OF s SKIP LOCKED
    LOOP
        -- Checks again under the session's lock: the task may have been finished or extended in between.
        SELECT t.* INTO v_task FROM gateway.agent_task t
        WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id
            AND t.status = 'claimed' AND t.claim_expires_at < v_now
        FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        v_count := v_count + 1;
        IF v_task.attempt >= 5 THEN
            PERFORM gateway.finish_failed(v_task, 'the worker did not answer in 5 attempts');
        ELSE
            UPDATE gateway.agent_task t
            SET status = 'cancelled', finished_at = clock_timestamp(), error = 'covered by task ' || v_task.id
            WHERE t.installation_id = v_task.installation_id AND t.session_id = v_task.session_id
                AND t.status = 'queued';
            UPDATE gateway.agent_task t
            SET status = 'queued', attempt = t.attempt + 1, worker = NULL, claim_key = NULL, claimed_at = NULL,
                claim_expires_at = NULL,
                -- It had its turn.
                turn = 0
            WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
            UPDATE gateway.chat_session s SET claimed_task_id = NULL
            WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id;
            PERFORM pg_notify('gateway_task', v_task.runtime_id);
        END IF;
    END LOOP;
    RETURN v_count;
END $$;
