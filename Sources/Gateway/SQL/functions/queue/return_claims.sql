-- Ends the claims of a worker that does not know of them: who claims next gets these tasks, in the attempt that they were
-- in. For a worker whose call of claim_task got no answer, and which therefore holds no claim that it knows of. Returns how many.
CREATE OR REPLACE FUNCTION gateway.return_claims(worker text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    -- Read once, as in expire_claims.
    v_now timestamptz := clock_timestamp();
    v_count int;
BEGIN
    -- expire_claims, which gives them back, counts an attempt: this one was none. What ran out by itself is left to it.
    UPDATE gateway.agent_task t SET claim_expires_at = '-infinity', attempt = t.attempt - 1
    WHERE t.status = 'claimed' AND t.worker = return_claims.worker AND t.claim_expires_at >= v_now;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
