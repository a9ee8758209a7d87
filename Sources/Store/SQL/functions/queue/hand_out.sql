-- Hands a queued task to a worker: marks it claimed and returns what claim_task returns. Cancels the task and returns
-- no row when nothing is left to answer.
--
--   p_session   the row of the task's session
--   p_lease     how long the claim lasts
--   p_key       of the claim's token (see claim_key)
--
-- The worker gets the newest messages of the oldest context that has something to answer: at most 200 messages with
-- 256 KiB of text, and at least one. Older ones are counted in omitted_before, and are answered with the others: an
-- agent that was away for long answers what is asked now.
-- Locks: the caller holds the locks of the task and the session. Called by claim_task.
CREATE OR REPLACE FUNCTION gateway.hand_out(
    p_task gateway.agent_task, p_session gateway.chat_session, p_worker text, p_lease interval,
    p_key bytea
) RETURNS TABLE (
    task_id bigint, session_id bigint, workspace text, agent text, chat_id text, chat_type text, attempt int,
    messages jsonb, context bigint, group_context jsonb
) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    c_messages CONSTANT int := 200;
    c_bytes CONSTANT bigint := 256 * 1024;
    v_message record;
    v_messages jsonb[] := '{}';
    v_bytes bigint := 0;
    v_handed bigint;
    -- The oldest message that is handed out.
    v_first bigint;
    v_omitted bigint;
    v_context bigint := p_session.context_position;
    -- The first message of the next context.
    v_end bigint;
BEGIN
    IF v_context > p_session.answered_position + 1 THEN
        -- Unanswered messages before a context boundary get a run of their own.
        SELECT m.position INTO v_handed FROM gateway.chat_message m
        WHERE m.installation_id = p_task.installation_id AND m.session_id = p_task.session_id
            AND m.position > p_session.answered_position AND m.role = 'user'
            AND gateway.is_answered_by_runs(m.command, m.content)
        ORDER BY m.position LIMIT 1;
        SELECT m.position INTO v_end FROM gateway.chat_message m
        WHERE m.installation_id = p_task.installation_id AND m.session_id = p_task.session_id
            AND m.position > v_handed AND m.command = 'new'
        ORDER BY m.position LIMIT 1;
        SELECT coalesce(max(c.position), 0) INTO v_context
        FROM (SELECT m.position FROM gateway.chat_message m
              WHERE m.installation_id = p_task.installation_id AND m.session_id = p_task.session_id
                  AND m.position <= v_handed AND m.command = 'new'
              ORDER BY m.position DESC LIMIT 1) c;
        v_handed := NULL;
    END IF;
    FOR v_message IN
        SELECT m.position, m.lark_message_id, m.sender, m.content, m.created_at FROM gateway.chat_message m
        WHERE m.installation_id = p_task.installation_id AND m.session_id = p_task.session_id
            AND m.position > p_session.answered_position AND m.role = 'user'
            AND gateway.is_answered_by_runs(m.command, m.content) AND (v_end IS NULL OR m.position < v_end)
        ORDER BY m.position DESC LIMIT c_messages
    LOOP
        v_bytes := v_bytes + octet_length(v_message.content);
        EXIT WHEN v_bytes > c_bytes AND v_first IS NOT NULL;
        v_messages := array_prepend(jsonb_build_object(
            'position', v_message.position, 'lark_message_id', v_message.lark_message_id, 'sender', v_message.sender,
            'content', v_message.content, 'created_at', v_message.created_at), v_messages);
        v_handed := coalesce(v_handed, v_message.position);
        v_first := v_message.position;
    END LOOP;

    IF v_handed IS NULL THEN
        UPDATE gateway.agent_task t
        SET status = 'cancelled', finished_at = clock_timestamp(), error = 'nothing was left to answer'
        WHERE t.installation_id = p_task.installation_id AND t.id = p_task.id;
        RETURN;
    END IF;

    IF cardinality(v_messages) = c_messages OR v_bytes > c_bytes THEN
        SELECT count(*) INTO v_omitted FROM gateway.chat_message m
        WHERE m.installation_id = p_task.installation_id AND m.session_id = p_task.session_id
            AND m.position > p_session.answered_position AND m.position < v_first AND m.role = 'user'
            AND gateway.is_answered_by_runs(m.command, m.content);
        IF v_omitted > 0 THEN
            v_messages[1] := v_messages[1] || jsonb_build_object('omitted_before', v_omitted);
        END IF;
    END IF;

    UPDATE gateway.agent_task t
    SET status = 'claimed', worker = p_worker, claim_key = p_key, lease = p_lease, handed_position = v_handed,
        claimed_at = clock_timestamp(), claim_expires_at = clock_timestamp() + p_lease
    WHERE t.installation_id = p_task.installation_id AND t.id = p_task.id;
    UPDATE gateway.chat_session s
    SET claimed_task_id = p_task.id, handed_position = greatest(s.handed_position, v_handed),
        claimed_at = clock_timestamp()
    WHERE s.installation_id = p_task.installation_id AND s.id = p_task.session_id;

    RETURN QUERY
    SELECT p_task.id, p_task.session_id, w.name, a.name, b.chat_id, b.chat_type, p_task.attempt, to_jsonb(v_messages),
        v_context, coalesce((SELECT g.messages FROM gateway.group_context g
            WHERE g.installation_id = p_task.installation_id AND g.session_id = p_task.session_id
                AND g.position > p_session.answered_position AND g.position <= v_handed), '[]')
    FROM gateway.agent a
    JOIN gateway.workspace w ON w.id = a.workspace_id
    JOIN gateway.chat_binding b ON b.installation_id = p_task.installation_id AND b.session_id = p_task.session_id
    WHERE a.id = p_task.agent_id;
END $$;
