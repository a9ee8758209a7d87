-- Lists active installations that a replica can't connect, at most 100: their secret is sealed with a key that is not
-- among p_key_ids. It notes in the rows that no replica holds that they are locked, for `status`; whoever takes the
-- lease begins the state anew, and so does a new secret.
--
-- Locks: the noted installations in key order (FOR NO KEY UPDATE SKIP LOCKED: the next look notes what is left out).
-- Called by the gateway.
CREATE OR REPLACE FUNCTION gateway.note_locked_secrets(p_key_ids text[])
RETURNS TABLE (app_id text, sealed_key_id text) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    WITH locked AS (
        SELECT i.id, format('its secret is sealed with the key %s, which the gateway does not have', i.sealed_key_id)
            AS reason
        FROM gateway.installation i
        WHERE i.status = 'active' AND i.sealed_secret IS NOT NULL AND i.sealed_key_id <> ALL (p_key_ids)
            AND (i.lease_holder IS NULL OR i.lease_expires_at < clock_timestamp())
        ORDER BY i.id FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE gateway.installation i
    SET connection_state = 'locked', connection_reason = l.reason, connection_since = clock_timestamp(),
        connection_retry_at = NULL
    FROM locked l
    WHERE i.id = l.id AND (i.connection_state, i.connection_reason) IS DISTINCT FROM ('locked', l.reason);
    RETURN QUERY
    SELECT i.app_id, i.sealed_key_id FROM gateway.installation i
    WHERE i.status = 'active' AND i.sealed_secret IS NOT NULL AND i.sealed_key_id <> ALL (p_key_ids)
    ORDER BY i.app_id LIMIT 100;
END $$;
