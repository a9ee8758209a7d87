-- Finds the session of every message that has no verdict; a chat's first message creates its session and binding.
-- Returns one session id per message, NULL where there is a verdict. Called by ingest_messages.
CREATE OR REPLACE FUNCTION gateway.find_or_create_sessions(
    p_installation bigint[], p_chat_id text[], p_thread_id text[], p_chat_type text[], p_member bigint[],
    p_verdict text[]
) RETURNS bigint[] LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    WITH chat AS (
        SELECT DISTINCT ON (r.installation, r.chat_id, r.thread_id) r.*
        FROM unnest(p_installation, p_chat_id, p_thread_id, p_chat_type, p_member, p_verdict)
            AS r (installation, chat_id, thread_id, chat_type, member, verdict)
        WHERE r.verdict IS NULL
            AND NOT EXISTS (SELECT FROM gateway.chat_binding b WHERE b.installation_id = r.installation
                AND b.chat_id = r.chat_id AND b.thread_id = r.thread_id)
        ORDER BY r.installation, r.chat_id, r.thread_id
    ), bound AS (
        INSERT INTO gateway.chat_binding (installation_id, chat_id, thread_id, session_id, chat_type)
        SELECT c.installation, c.chat_id, c.thread_id,
            nextval(pg_get_serial_sequence('gateway.chat_session', 'id')),
            CASE WHEN c.thread_id <> '' THEN 'topic' ELSE c.chat_type END
        FROM chat c
        ON CONFLICT (installation_id, chat_id, thread_id) DO NOTHING
        RETURNING installation_id, chat_id, thread_id, session_id
    )
    INSERT INTO gateway.chat_session (id, installation_id, member_id)
    SELECT b.session_id, b.installation_id, CASE WHEN c.chat_type = 'p2p' THEN c.member END
    FROM bound b
    JOIN chat c ON c.installation = b.installation_id AND c.chat_id = b.chat_id AND c.thread_id = b.thread_id;

    RETURN (
        SELECT array_agg(CASE WHEN r.verdict IS NULL THEN b.session_id END ORDER BY r.n)
        FROM unnest(p_installation, p_chat_id, p_thread_id, p_verdict)
            WITH ORDINALITY AS r (installation, chat_id, thread_id, verdict, n)
        LEFT JOIN gateway.chat_binding b
            ON b.installation_id = r.installation AND b.chat_id = r.chat_id AND b.thread_id = r.thread_id);
END $$;
