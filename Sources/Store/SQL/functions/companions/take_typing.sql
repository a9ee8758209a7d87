-- Claims typing signs that are to be removed (see is_typing_over), at most p_limit of the installations that the holder
-- owns. A claimed sign is claimed again after 15 seconds unless its row is gone.
--
--   p_installation, p_session   only the signs of this session, due or not; NULL means all sessions
--
-- Locks: the signs in key order (FOR UPDATE SKIP LOCKED). Called by the gateway.
CREATE OR REPLACE FUNCTION gateway.take_typing(
    p_holder text, p_limit int, p_installation bigint DEFAULT NULL, p_session bigint DEFAULT NULL
) RETURNS TABLE (
    installation_id bigint, session_id bigint, "position" bigint, lark_message_id text, reaction_id text, attempts int
) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH over AS (
        SELECT t.installation_id, t.session_id, t.position FROM gateway.typing t
        JOIN gateway.installation i ON i.id = t.installation_id
        WHERE i.lease_holder = p_holder
            AND (p_session IS NULL OR (t.installation_id = p_installation AND t.session_id = p_session))
            -- A session's reply is about to be sent: no wait for the next attempt.
            AND (t.next_attempt_at <= clock_timestamp() OR p_session IS NOT NULL)
            AND gateway.is_typing_over(t.installation_id, t.session_id, t.position)
    ), locked AS (
        SELECT t.installation_id, t.session_id, t.position FROM gateway.typing t
        JOIN over o ON o.installation_id = t.installation_id AND o.session_id = t.session_id AND o.position = t.position
        ORDER BY t.installation_id, t.session_id, t.position LIMIT p_limit
        FOR UPDATE OF t SKIP LOCKED
    )
    UPDATE gateway.typing t
    SET attempts = t.attempts + 1, next_attempt_at = clock_timestamp() + interval '15 seconds'
    FROM locked l
    WHERE t.installation_id = l.installation_id AND t.session_id = l.session_id AND t.position = l.position
    RETURNING t.installation_id, t.session_id, t.position, t.lark_message_id, t.reaction_id, t.attempts;
END $$;
