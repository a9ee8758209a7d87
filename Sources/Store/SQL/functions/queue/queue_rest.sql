-- Gives the unanswered messages of a session a run: a task if the agent has a runtime, else a window that is due now,
-- whose flush tells the chat. Does nothing if the session has a window or a queued task already. The task gets its turn
-- as in flush_windows.
-- Locks: the caller holds the session's lock. Called by complete_task and finish_failed. Planner settings: see
-- ingest_messages.
CREATE OR REPLACE FUNCTION gateway.queue_rest(p_installation bigint, p_session bigint) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_agent gateway.agent;
    v_person text;
BEGIN
    IF EXISTS (SELECT FROM gateway.pending_run p
               WHERE p.installation_id = p_installation AND p.session_id = p_session) THEN
        RETURN;
    END IF;
    SELECT a.* INTO v_agent FROM gateway.installation i JOIN gateway.agent a ON a.id = i.agent_id
    WHERE i.id = p_installation;
    IF v_agent.runtime_id IS NULL OR v_agent.archived_at IS NOT NULL THEN
        INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
        VALUES (p_installation, p_session, now(), now()) ON CONFLICT DO NOTHING;
        NOTIFY gateway_window;
    ELSE
        SELECT m.sender INTO v_person
        FROM gateway.chat_session s
        JOIN gateway.chat_message m ON m.installation_id = s.installation_id AND m.session_id = s.id
            AND m.position = s.last_user_position
        WHERE s.installation_id = p_installation AND s.id = p_session;
        INSERT INTO gateway.agent_task (installation_id, session_id, agent_id, runtime_id, person, turn)
        VALUES (p_installation, p_session, v_agent.id, v_agent.runtime_id, coalesce(v_person, ''), greatest(0,
            (SELECT t.turn FROM gateway.agent_task t
             WHERE t.status = 'queued' AND t.runtime_id = v_agent.runtime_id AND t.runtime_id <> ''
             ORDER BY t.runtime_id, t.turn, t.created_at, t.id LIMIT 1),
            (SELECT t.turn FROM gateway.agent_task t
             WHERE t.status = 'queued' AND t.installation_id = p_installation AND t.person = v_person AND t.person <> ''
             ORDER BY t.installation_id DESC, t.person DESC, t.turn DESC LIMIT 1) + 1))
        ON CONFLICT (installation_id, session_id) WHERE status = 'queued' DO NOTHING;
        PERFORM pg_notify('gateway_task', v_agent.runtime_id);
    END IF;
END $$;
