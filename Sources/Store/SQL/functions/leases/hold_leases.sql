-- Renews every lease of a holder in one statement, and records that the replica is alive. Returns the leases that it
-- still holds; is_wanted: another live replica asks for the installation.
-- Locks: installations in key order (FOR NO KEY UPDATE), which never waits for ingest. Called by the gateway.
CREATE OR REPLACE FUNCTION gateway.hold_leases(p_holder text, p_ttl interval)
RETURNS TABLE (installation_id bigint, generation bigint, revision bigint, is_wanted boolean) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO gateway.replica AS r (holder, expires_at) VALUES (p_holder, clock_timestamp() + p_ttl)
    ON CONFLICT (holder) DO UPDATE SET expires_at = EXCLUDED.expires_at;
    RETURN QUERY
    -- Every statement that changes many installations locks them in this order, so that two can't deadlock.
    WITH locked AS (
        SELECT i.id FROM gateway.installation i WHERE i.lease_holder = p_holder AND i.status = 'active'
        ORDER BY i.id FOR NO KEY UPDATE
    )
    UPDATE gateway.installation i
    SET lease_expires_at = clock_timestamp() + p_ttl, lease_renewed_at = clock_timestamp()
    FROM locked l WHERE i.id = l.id AND i.lease_holder = p_holder AND i.status = 'active'
    RETURNING i.id, i.lease_generation, i.revision, i.wanted_by <> p_holder AND EXISTS (
        SELECT FROM gateway.replica r WHERE r.holder = i.wanted_by AND r.expires_at > clock_timestamp());
END $$;
