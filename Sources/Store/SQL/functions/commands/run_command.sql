-- Carries out the command at a position of a session, and puts its answer into the outbox.
-- Locks: the caller holds the session's lock; /issue also locks the workspace's row. Called by ingest_messages.
-- Planner settings: see ingest_messages.
CREATE OR REPLACE FUNCTION gateway.run_command(
    p_installation bigint, p_session bigint, p_position bigint, p_message_id text, p_sender text, p_content text,
    p_command text, p_title text, p_description text
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_answer jsonb;
    v_title text := left(p_title, 500);
    v_number bigint;
    v_workspace gateway.workspace;
BEGIN
    CASE p_command
    WHEN 'new' THEN
        -- Messages of failed runs are set aside. Messages that no run was given yet still get one, on their own side of
        -- the boundary; a run that is under way goes on.
        UPDATE gateway.chat_session s
        SET context_position = p_position,
            answered_position = CASE WHEN s.claimed_task_id IS NULL
                THEN greatest(s.answered_position, s.failed_position) ELSE s.answered_position END
        WHERE s.installation_id = p_installation AND s.id = p_session;
        -- With a text the agent's reply is the answer.
        IF p_content = '' THEN v_answer := '{"notice": "context_started"}'; END IF;
    WHEN 'issue' THEN
        IF coalesce(v_title, '') = '' THEN
            -- Default title: the first line of the previous message, or the issue's title if it was an /issue.
            SELECT left(regexp_replace(l.line, '^/issue\s+', ''), 500) INTO v_title
            FROM (SELECT m.content FROM gateway.chat_message m
                  WHERE m.installation_id = p_installation AND m.session_id = p_session AND m.position < p_position
                      AND m.role = 'user' AND (gateway.is_answered_by_runs(m.command, m.content)
                          OR m.command = 'issue' AND m.content !~ '^\s*/issue\s*$')
                  ORDER BY m.position DESC LIMIT 1) m
            CROSS JOIN LATERAL (
                SELECT btrim(r.line, E' \t\r') AS line
                FROM regexp_split_to_table(m.content, '\n') WITH ORDINALITY AS r (line, n)
                WHERE btrim(r.line, E' \t\r') <> '' ORDER BY r.n LIMIT 1) l;
        END IF;
        IF coalesce(v_title, '') = '' THEN
            v_answer := '{"notice": "issue_usage"}';
        ELSE
            UPDATE gateway.workspace w SET last_issue = w.last_issue + 1
            FROM gateway.installation i WHERE i.id = p_installation AND w.id = i.workspace_id
            RETURNING w.* INTO v_workspace;
            v_number := v_workspace.last_issue;
            INSERT INTO gateway.issue (
                workspace_id, number, title, description, created_by, installation_id, session_id, lark_message_id)
            VALUES (v_workspace.id, v_number, v_title, coalesce(p_description, ''), p_sender, p_installation, p_session,
                p_message_id);
            v_answer := jsonb_build_object('notice', 'issue_created', 'title', v_title,
                'key', gateway.issue_key(v_workspace.name, v_number));
        END IF;
    WHEN 'help' THEN
        v_answer := '{"notice": "help"}';
    WHEN 'status' THEN
        SELECT jsonb_build_object('notice', 'status', 'state', CASE WHEN a.archived_at IS NOT NULL THEN 'archived'
                WHEN a.runtime_id IS NULL THEN 'offline' ELSE 'online' END,
            'is_running', s.claimed_task_id IS NOT NULL,
            'waiting', (SELECT count(*) FROM gateway.chat_message m
                WHERE m.installation_id = p_installation AND m.session_id = p_session AND m.role = 'user'
                    AND m.position > greatest(s.answered_position,
                        CASE WHEN s.claimed_task_id IS NOT NULL THEN s.handed_position ELSE 0 END)
                    AND gateway.is_answered_by_runs(m.command, m.content)))
            INTO v_answer
        FROM gateway.chat_session s
        JOIN gateway.installation i ON i.id = s.installation_id
        JOIN gateway.agent a ON a.id = i.agent_id
        WHERE s.installation_id = p_installation AND s.id = p_session;
    END CASE;
    IF v_answer IS NOT NULL THEN
        PERFORM gateway.put_outbox_for_session(p_installation, p_session, 'notice', v_answer, p_message_id);
        PERFORM pg_notify('gateway_outbox', p_installation::text);
    END IF;
END $$;
