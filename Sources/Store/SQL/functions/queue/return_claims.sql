-- Expires the claims of a worker that does not know of them: the next claim_task gets these tasks, in the same attempt.
-- Returns how many.
--
-- For a worker whose claim_task got no answer (Postgres died between commit and reply), and which holds no other claim
-- that it knows of: without this, the task would be blocked for its whole visibility timeout.
-- Only claims that were made with this token are given back. Raises 22023 when it is missing (see check_worker_role).
-- Locks: only the tasks, not their sessions. Public worker function.
CREATE OR REPLACE FUNCTION gateway.return_claims(worker text, token text DEFAULT NULL) RETURNS int LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- Read once: see expire_claims.
    v_now timestamptz := clock_timestamp();
    v_key bytea := gateway.claim_key(return_claims.token);
    v_count int;
BEGIN
    PERFORM gateway.check_worker_role(return_claims.token);
    -- expire_claims will add an attempt, and this one does not count. Claims that expired by themselves are left to it.
    UPDATE gateway.agent_task t SET claim_expires_at = '-infinity', attempt = t.attempt - 1
    WHERE t.status = 'claimed' AND t.worker = return_claims.worker
        AND t.claim_key IS NOT DISTINCT FROM v_key AND t.claim_expires_at >= v_now;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
