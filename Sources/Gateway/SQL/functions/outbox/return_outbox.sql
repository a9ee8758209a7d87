-- When Postgres goes away between a commit and its answer, who asked does not know what they were given, and it used to lie
-- there until its time ran out: a minute, for a message or a task. Who got no answer says so now, and may have it at once.

-- Lets be taken again what this replica has taken and does not know of: all but p_under_way. Returns how much.
CREATE OR REPLACE FUNCTION gateway.return_outbox(p_holder text, p_under_way uuid[]) RETURNS int LANGUAGE plpgsql
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
