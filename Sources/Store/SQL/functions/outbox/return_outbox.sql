-- Releases every row that this replica has claimed except those in p_under_way. Returns the count.
--
-- If Postgres dies between commit and reply, the replica does not know what it claimed. Without this, those rows would
-- be blocked for their whole visibility timeout. Called by the gateway. Planner settings: see ingest_messages.
CREATE OR REPLACE FUNCTION gateway.return_outbox(p_holder text, p_under_way uuid[]) RETURNS int LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
SET search_path = pg_catalog, pg_temp
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
