-- What goes out: notices that do not repeat themselves, apps that are held back, and what administrators look at.

-- Whose answer a row is; NULL: it answers no session.
ALTER TABLE gateway.outbox ADD session_id bigint;
CREATE INDEX outbox_notices ON gateway.outbox (installation_id, session_id, created_at) WHERE kind = 'notice';
CREATE INDEX outbox_dead ON gateway.outbox (installation_id, dead_at) WHERE dead_at IS NOT NULL;

-- Where a session's answers go: the chat, or the topic through the latest user message. A notice that says what an earlier
-- one of the session said within the hour is left out; what answers a command is said each time.
CREATE OR REPLACE FUNCTION gateway.put_outbox_for_session(
    p_installation bigint, p_session bigint, p_kind text, p_payload jsonb, p_reply_to text
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    IF p_payload ->> 'notice' IN ('agent_offline', 'agent_archived', 'run_failed') AND EXISTS (
        SELECT FROM gateway.outbox o
        WHERE o.installation_id = p_installation AND o.session_id = p_session AND o.kind = 'notice'
            AND o.created_at > now() - interval '1 hour' AND o.payload = p_payload AND o.dead_at IS NULL)
    THEN
        RETURN;
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

-- As before (007_set_based.sql), without the installations whose app may not send now (p_held).
DROP FUNCTION gateway.take_outbox(text, int, interval);
CREATE FUNCTION gateway.take_outbox(p_holder text, p_limit int, p_visibility interval, p_held bigint[] DEFAULT '{}')
RETURNS TABLE (
    installation_id bigint, generation bigint, id uuid, kind text, receive_id_type text, receive_id text,
    reply_to text, in_thread boolean, payload jsonb, attempts int, locale text, workspace text, agent text,
    session_id bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH head AS MATERIALIZED (
        SELECT i.id AS installation_id, o.id, i.lease_generation, i.locale, i.workspace_id, i.agent_id
        FROM gateway.installation i
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (o.receive_id) o.id FROM gateway.outbox o
            WHERE o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL
            ORDER BY o.receive_id, o.seq) o
        WHERE i.lease_holder = p_holder AND i.id <> ALL (p_held)
    ), due AS (
        SELECT h.* FROM head h
        JOIN gateway.outbox o ON o.installation_id = h.installation_id AND o.id = h.id
        -- Said so that the index of unsent rows is no candidate: it is the primary key that finds a row.
        WHERE coalesce(o.sent_at, o.dead_at) IS NULL
            AND (o.next_attempt_at <= clock_timestamp() OR o.taken_generation <> h.lease_generation)
        ORDER BY o.seq LIMIT p_limit
        FOR UPDATE OF o SKIP LOCKED
    )
    UPDATE gateway.outbox o
    SET attempts = o.attempts + 1, taken_generation = d.lease_generation,
        next_attempt_at = clock_timestamp() + p_visibility
    FROM due d
    JOIN gateway.workspace w ON w.id = d.workspace_id
    JOIN gateway.agent a ON a.id = d.agent_id
    WHERE o.installation_id = d.installation_id AND o.id = d.id
    RETURNING o.installation_id, d.lease_generation, o.id, o.kind, o.receive_id_type, o.receive_id, o.reply_to,
        o.in_thread, o.payload, o.attempts, d.locale, w.name, a.name, o.session_id;
END $$;

-- Sends again at once: a row that was given up, or one that waits for its next attempt. NULL: every row of the app (of all
-- apps) that was given up. Returns how many.
CREATE FUNCTION gateway.retry_outbox(p_id uuid, p_app_id text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint;
BEGIN
    UPDATE gateway.outbox o SET dead_at = NULL, attempts = 0, next_attempt_at = clock_timestamp()
    FROM gateway.installation i
    WHERE i.id = o.installation_id AND (p_app_id IS NULL OR i.app_id = p_app_id) AND o.sent_at IS NULL
        -- What is being sent right now is left alone.
        AND (o.dead_at IS NOT NULL OR o.taken_generation IS NULL)
        AND CASE WHEN p_id IS NULL THEN o.dead_at IS NOT NULL ELSE o.id = p_id END;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    NOTIFY gateway_outbox;
    RETURN v_count;
END $$;

-- Gives a row up that was not sent: what waits behind it in its chat goes on. Returns whether there was one.
CREATE FUNCTION gateway.drop_outbox(p_id uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gateway.outbox o
    SET dead_at = clock_timestamp(), last_error = 'dropped by command', taken_generation = NULL
    WHERE o.id = p_id AND o.sent_at IS NULL AND o.dead_at IS NULL;
    RETURN FOUND;
END $$;
