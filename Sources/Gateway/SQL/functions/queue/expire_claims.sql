-- Gives back the tasks whose claim ran out: queued again as the next attempt, or failed after the fifth. Returns how
-- many. A task that was queued meanwhile gives way: the one that is given back covers its messages too. The time is
-- read once: a clock in the condition keeps the index on it from being used.
CREATE OR REPLACE FUNCTION gateway.expire_claims(p_runtime text DEFAULT NULL) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
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
        -- Again, under the session's lock: it may have been finished or extended in between.
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
            SET status = 'queued', attempt = t.attempt + 1, worker = NULL, claimed_at = NULL, claim_expires_at = NULL
            WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
            UPDATE gateway.chat_session s SET claimed_task_id = NULL
            WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id;
            PERFORM pg_notify('gateway_task', v_task.runtime_id);
        END IF;
    END LOOP;
    RETURN v_count;
END $$;
