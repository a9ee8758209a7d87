-- Tells whether a typing sign can go: its message is answered, or no run of the session waits or is under way.
-- Called by take_typing.
CREATE OR REPLACE FUNCTION gateway.is_typing_over(p_installation bigint, p_session bigint, p_position bigint)
RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT NOT EXISTS (
        SELECT FROM gateway.chat_session s
        WHERE s.installation_id = p_installation AND s.id = p_session AND p_position > s.answered_position
            AND (s.claimed_task_id IS NOT NULL
                OR EXISTS (SELECT FROM gateway.pending_run p
                    WHERE p.installation_id = p_installation AND p.session_id = p_session)
                OR EXISTS (SELECT FROM gateway.agent_task t
                    WHERE t.installation_id = p_installation AND t.session_id = p_session AND t.status = 'queued')))
$$;
