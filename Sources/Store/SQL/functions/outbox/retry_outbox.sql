-- Makes rows due at once: dead ones, or one that waits for its next attempt. Returns how many. Called by a command.
--
--   p_id       NULL: every dead row of the app
--   p_app_id   NULL: of all apps
CREATE OR REPLACE FUNCTION gateway.retry_outbox(p_id uuid, p_app_id text) RETURNS bigint LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_count bigint;
BEGIN
    UPDATE gateway.outbox o SET dead_at = NULL, attempts = 0, next_attempt_at = clock_timestamp()
    FROM gateway.installation i
    WHERE i.id = o.installation_id AND (p_app_id IS NULL OR i.app_id = p_app_id) AND o.sent_at IS NULL
        -- Rows that are being sent right now are left alone.
        AND (o.dead_at IS NOT NULL OR o.taken_generation IS NULL)
        AND CASE WHEN p_id IS NULL THEN o.dead_at IS NOT NULL ELSE o.id = p_id END;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    NOTIFY gateway_outbox;
    RETURN v_count;
END $$;
