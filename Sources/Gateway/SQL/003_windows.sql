-- Where a session's answers go: the chat, or the topic through the latest user message.
CREATE FUNCTION gateway.put_outbox_for_session(
    p_installation bigint, p_session bigint, p_kind text, p_payload jsonb, p_reply_to text
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, reply_to, in_thread, payload)
    SELECT p_installation, p_kind, 'chat_id', b.chat_id,
        CASE b.chat_type WHEN 'topic' THEN coalesce(p_reply_to, m.lark_message_id) WHEN 'group' THEN p_reply_to END,
        b.chat_type = 'topic', p_payload
    FROM gateway.chat_binding b
    LEFT JOIN LATERAL (
        SELECT c.lark_message_id FROM gateway.chat_message c
        WHERE c.installation_id = p_installation AND c.session_id = p_session AND c.role = 'user'
        ORDER BY c.position DESC LIMIT 1) m ON true
    WHERE b.installation_id = p_installation AND b.session_id = p_session
$$;

-- Turns closed windows into tasks or notices, in one transaction. One row per window that was still there:
--
--   queued          a task is queued (task_id), or one was queued already and covers the messages
--   agent_offline   the agent has no runtime: a notice is in the outbox, the messages stay
--   agent_archived  likewise
--   empty           its messages were all handed out already: no task
--   not_due         the window was extended meanwhile; remaining_ms says by how much
--   fenced          this replica no longer owns the installation: nothing was written
--
-- p_force flushes before the time is up (shutdown). Order of locks: installations, sessions by key, windows.
CREATE FUNCTION gateway.flush_windows(
    p_installation bigint[], p_generation bigint[], p_session bigint[], p_force boolean
) RETURNS TABLE (session_id bigint, outcome text, task_id bigint, remaining_ms bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_window record;
    v_task bigint;
    v_notice text;
BEGIN
    PERFORM FROM gateway.installation i WHERE i.id = ANY (p_installation) ORDER BY i.id FOR KEY SHARE;
    PERFORM FROM gateway.chat_session s
    JOIN unnest(p_installation, p_session) AS r (installation, session)
        ON s.installation_id = r.installation AND s.id = r.session
    ORDER BY s.installation_id, s.id
    FOR NO KEY UPDATE OF s;

    FOR v_window IN
        SELECT p.installation_id, p.session_id, p.due_at, i.lease_generation = r.generation AS is_owner,
            a.id AS agent_id, a.name AS agent_name, a.runtime_id, a.archived_at,
            s.last_user_position > greatest(s.handed_position, s.answered_position) AS has_news,
            ceil(extract(epoch FROM p.due_at - clock_timestamp()) * 1000)::bigint AS remaining_ms
        FROM unnest(p_installation, p_generation, p_session) AS r (installation, generation, session)
        JOIN gateway.pending_run p ON p.installation_id = r.installation AND p.session_id = r.session
        JOIN gateway.chat_session s ON s.installation_id = r.installation AND s.id = r.session
        JOIN gateway.installation i ON i.id = r.installation
        JOIN gateway.agent a ON a.id = i.agent_id
        ORDER BY p.installation_id, p.session_id
    LOOP
        session_id := v_window.session_id;
        task_id := NULL;
        remaining_ms := NULL;
        IF NOT v_window.is_owner THEN
            outcome := 'fenced';
            RETURN NEXT;
            CONTINUE;
        END IF;
        IF v_window.remaining_ms > 0 AND NOT p_force THEN
            outcome := 'not_due';
            remaining_ms := v_window.remaining_ms;
            RETURN NEXT;
            CONTINUE;
        END IF;
        DELETE FROM gateway.pending_run p
        WHERE p.installation_id = v_window.installation_id AND p.session_id = v_window.session_id;
        v_notice := CASE
            WHEN NOT v_window.has_news THEN NULL
            WHEN v_window.archived_at IS NOT NULL THEN 'agent_archived'
            WHEN v_window.runtime_id IS NULL THEN 'agent_offline'
        END;
        IF NOT v_window.has_news THEN
            outcome := 'empty';
        ELSIF v_notice IS NOT NULL THEN
            outcome := v_notice;
            PERFORM gateway.put_outbox_for_session(v_window.installation_id, v_window.session_id, 'notice',
                jsonb_build_object('notice', v_notice, 'agent', v_window.agent_name), NULL);
        ELSE
            outcome := 'queued';
            INSERT INTO gateway.agent_task AS t (installation_id, session_id, agent_id, runtime_id)
            VALUES (v_window.installation_id, v_window.session_id, v_window.agent_id, v_window.runtime_id)
            ON CONFLICT (installation_id, session_id) WHERE status = 'queued' DO NOTHING
            RETURNING t.id INTO v_task;
            task_id := v_task;
            PERFORM pg_notify('gateway_task', v_window.runtime_id);
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- Called when an agent got or lost its runtime, or was archived or brought back: sessions whose fate hangs on it get a
-- window that is due now, and the gateway decides anew. Archiving also cancels the runs under way: their workers are
-- refused, and the chats get the notice instead of a reply.
CREATE FUNCTION gateway.reconsider_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.runtime_id IS NOT NULL AND NEW.archived_at IS NULL THEN
        UPDATE gateway.agent_task t SET runtime_id = NEW.runtime_id WHERE t.agent_id = NEW.id AND t.status = 'queued';
    ELSE
        -- The sessions first: it is the order in which everybody else takes these locks.
        PERFORM FROM gateway.chat_session s
        JOIN gateway.agent_task t ON t.installation_id = s.installation_id AND t.session_id = s.id
        WHERE t.agent_id = NEW.id AND t.status IN ('queued', 'claimed')
        ORDER BY s.installation_id, s.id FOR NO KEY UPDATE OF s;
        WITH withdrawn AS (
            UPDATE gateway.agent_task t SET status = 'cancelled', finished_at = now(), error = 'the agent went away'
            FROM gateway.agent_task before
            WHERE t.agent_id = NEW.id AND before.installation_id = t.installation_id AND before.id = t.id
                AND (t.status = 'queued' OR (t.status = 'claimed' AND NEW.archived_at IS NOT NULL))
            RETURNING t.installation_id, t.session_id, before.status AS was
        ), released AS (
            UPDATE gateway.chat_session s SET claimed_task_id = NULL, handed_position = s.answered_position
            FROM withdrawn w
            WHERE w.was = 'claimed' AND s.installation_id = w.installation_id AND s.id = w.session_id
        )
        INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
        SELECT DISTINCT w.installation_id, w.session_id, now(), now() FROM withdrawn w
        ON CONFLICT (installation_id, session_id) DO NOTHING;
        NOTIFY gateway_window;
        RETURN NULL;
    END IF;
    INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
    SELECT s.installation_id, s.id, now(), now()
    FROM gateway.installation i
    JOIN gateway.chat_session s ON s.installation_id = i.id
    WHERE i.agent_id = NEW.id AND s.last_user_position > greatest(s.handed_position, s.answered_position)
        AND NOT EXISTS (SELECT FROM gateway.agent_task t WHERE t.installation_id = s.installation_id
            AND t.session_id = s.id AND t.status = 'queued')
    ON CONFLICT (installation_id, session_id) DO NOTHING;
    NOTIFY gateway_window;
    RETURN NULL;
END $$;
CREATE TRIGGER agent_changed AFTER UPDATE OF runtime_id, archived_at ON gateway.agent
    FOR EACH ROW WHEN (OLD.runtime_id IS DISTINCT FROM NEW.runtime_id
        OR (OLD.archived_at IS NULL) <> (NEW.archived_at IS NULL))
    EXECUTE FUNCTION gateway.reconsider_sessions();
