-- Releases every lease of a holder that shuts down, and notifies the replicas that wait for them.
-- Locks: installations in key order (FOR NO KEY UPDATE). Called by the gateway.
CREATE OR REPLACE FUNCTION gateway.release_leases(p_holder text) RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM gateway.replica r WHERE r.holder = p_holder;
    WITH locked AS (
        SELECT i.id FROM gateway.installation i WHERE i.lease_holder = p_holder ORDER BY i.id FOR NO KEY UPDATE
    )
    UPDATE gateway.installation i
    SET lease_holder = NULL, lease_expires_at = NULL, free_since = clock_timestamp()
    FROM locked l WHERE i.id = l.id AND i.lease_holder = p_holder;
    NOTIFY gateway_installation;
$$;
