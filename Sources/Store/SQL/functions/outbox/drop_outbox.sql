-- Gives up an unsent row, so that the rows behind it in its chat can be sent. Returns whether there was such a row.
CREATE OR REPLACE FUNCTION gateway.drop_outbox(p_id uuid) RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE gateway.outbox o
    SET dead_at = clock_timestamp(), last_error = 'dropped by command', taken_generation = NULL
    WHERE o.id = p_id AND o.sent_at IS NULL AND o.dead_at IS NULL;
    RETURN FOUND;
END $$;
