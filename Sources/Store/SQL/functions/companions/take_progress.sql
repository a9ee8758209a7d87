-- Claims progress cards that have a newer text than the platform shows, at most p_limit of the installations that the
-- holder owns. A card is claimed at most once a second. Cards of runs that have ended are deleted.
--
-- Locks: the cards (FOR UPDATE SKIP LOCKED). Called by the gateway.
CREATE OR REPLACE FUNCTION gateway.take_progress(p_holder text, p_limit int)
RETURNS TABLE (
    installation_id bigint, task_id bigint, version bigint, text text, lark_message_id text, attempts int, agent text,
    chat_id text, reply_to text, in_thread boolean
) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    DELETE FROM gateway.progress p USING gateway.installation i, gateway.agent_task t
    WHERE i.lease_holder = p_holder AND p.installation_id = i.id AND t.installation_id = p.installation_id
        AND t.id = p.task_id AND t.status NOT IN ('claimed', 'queued');
    RETURN QUERY
    WITH due AS (
        SELECT p.installation_id, p.task_id FROM gateway.progress p
        JOIN gateway.installation i ON i.id = p.installation_id
        WHERE i.lease_holder = p_holder AND p.version > p.sent_version AND p.next_attempt_at <= clock_timestamp()
        ORDER BY p.next_attempt_at LIMIT p_limit
        FOR UPDATE OF p SKIP LOCKED
    )
    UPDATE gateway.progress p
    SET attempts = p.attempts + 1, next_attempt_at = clock_timestamp() + interval '1 second'
    FROM due d
    JOIN gateway.agent_task t ON t.installation_id = d.installation_id AND t.id = d.task_id
    JOIN gateway.agent a ON a.id = t.agent_id
    JOIN gateway.chat_binding b ON b.installation_id = t.installation_id AND b.session_id = t.session_id
    LEFT JOIN gateway.chat_message m ON m.installation_id = t.installation_id AND m.session_id = t.session_id
        AND m.position = t.handed_position
    WHERE p.installation_id = d.installation_id AND p.task_id = d.task_id
    RETURNING p.installation_id, p.task_id, p.version, p.text, p.lark_message_id, p.attempts, a.name, b.chat_id,
        CASE WHEN b.chat_type <> 'p2p' THEN m.lark_message_id END, b.chat_type = 'topic';
END $$;
