-- Puts a message for a session's chat into the outbox; for a topic as a reply, to p_reply_to or the latest user
-- message. The notice that an agent is offline or archived is sent once an hour, and again if a worker has claimed a
-- run of the session since. Everything else is sent each time: each failed run had a question of its own.
-- Planner settings: see ingest_messages.
CREATE OR REPLACE FUNCTION gateway.put_outbox_for_session(
    p_installation bigint, p_session bigint, p_kind text, p_payload jsonb, p_reply_to text
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- A separate test: in one expression with the query, every reply would pay for planning the query.
    IF p_payload ->> 'notice' IN ('agent_offline', 'agent_archived') THEN
        IF EXISTS (
            SELECT FROM gateway.outbox o
            WHERE o.installation_id = p_installation AND o.session_id = p_session AND o.kind = 'notice'
                AND o.created_at > greatest(now() - interval '1 hour', (SELECT s.claimed_at FROM gateway.chat_session s
                    WHERE s.installation_id = p_installation AND s.id = p_session))
                AND o.payload = p_payload AND o.dead_at IS NULL)
        THEN
            RETURN;
        END IF;
    END IF;
    INSERT INTO gateway.outbox (installation_id, session_id, kind, receive_id_type, receive_id, reply_to, in_thread,
        payload)
    SELECT p_installation, p_session, p_kind, 'chat_id', b.chat_id,
        CASE b.chat_type WHEN 'topic' THEN coalesce(p_reply_to, m.lark_message_id) WHEN 'group' THEN p_reply_to END,
        b.chat_type = 'topic', p_payload
    FROM gateway.chat_binding b
    LEFT JOIN LATERAL (
        SELECT c.lark_message_id FROM gateway.chat_message c
        WHERE c.installation_id = p_installation AND c.session_id = p_session AND c.role = 'user'
        ORDER BY c.position DESC LIMIT 1) m ON true
    WHERE b.installation_id = p_installation AND b.session_id = p_session;
END $$;
