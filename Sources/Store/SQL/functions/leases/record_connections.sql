-- Records what a holder reports about its connections, for `status`. A report under a lost lease generation is ignored.
-- Locks: installations in key order (FOR NO KEY UPDATE). Called by the gateway.
CREATE OR REPLACE FUNCTION gateway.record_connections(
    p_installation bigint[], p_generation bigint[], p_state text[], p_reason text[], p_age_ms bigint[],
    p_retry_in_ms bigint[]
) RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    WITH locked AS (
        SELECT i.id FROM gateway.installation i WHERE i.id = ANY (p_installation) ORDER BY i.id FOR NO KEY UPDATE
    )
    UPDATE gateway.installation i
    SET connection_state = r.state, connection_reason = r.reason,
        connection_since = clock_timestamp() - r.age_ms * interval '1 millisecond',
        connection_retry_at = clock_timestamp() + r.retry_in_ms * interval '1 millisecond'
    FROM unnest(p_installation, p_generation, p_state, p_reason, p_age_ms, p_retry_in_ms)
            AS r (installation, generation, state, reason, age_ms, retry_in_ms)
        JOIN locked l ON l.id = r.installation
    WHERE i.id = r.installation AND i.lease_generation = r.generation AND i.lease_holder IS NOT NULL
$$;
