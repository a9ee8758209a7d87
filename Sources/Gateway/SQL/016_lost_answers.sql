-- When Postgres goes away between a commit and its answer, who asked does not know what they were given, and it used to lie
-- there until its time ran out: a minute, for a message or a task. Who got no answer says so now, and may have it at once.

-- Lets be taken again what this replica has taken and does not know of: all but p_under_way. Returns how much.
CREATE FUNCTION gateway.return_outbox(p_holder text, p_under_way uuid[]) RETURNS int LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_count int;
BEGIN
    UPDATE gateway.outbox o
    SET taken_generation = NULL, next_attempt_at = clock_timestamp(), attempts = o.attempts - 1
    FROM gateway.installation i
    WHERE i.lease_holder = p_holder AND o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL
        AND o.taken_generation = i.lease_generation AND o.id <> ALL (p_under_way);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

-- Ends the claims of a worker that does not know of them: who claims next gets these tasks, in the attempt that they were
-- in. For a worker whose call of claim_task got no answer, and which therefore holds no claim that it knows of. Returns how many.
CREATE FUNCTION gateway.return_claims(worker text) RETURNS int LANGUAGE plpgsql AS $$
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
