-- What a failed run leaves behind: it queues no other run, each failure is told to its chat, and no chat keeps a runtime from
-- its other tasks.

ALTER TABLE gateway.chat_session
    -- The last position that a failed task was given. What stands up to here was tried.
    ADD failed_position bigint NOT NULL DEFAULT 0,
    -- When a worker last claimed a task of the session.
    ADD claimed_at timestamptz;

-- They served replicas of a version that was never released.
DROP FUNCTION gateway.acquire_leases(text, text[], text[], interval);
DROP FUNCTION gateway.renew_leases(text, interval);

-- Sees to it that what a session has left to answer gets a run: a task where its agent has a runtime, else a window that
-- is due now, whose flush tells the chat. Does nothing where a window or a task is there already. The caller holds the session's
-- lock.
CREATE FUNCTION gateway.queue_rest(p_installation bigint, p_session bigint) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_agent gateway.agent;
BEGIN
    IF EXISTS (SELECT FROM gateway.pending_run p WHERE p.installation_id = p_installation AND p.session_id = p_session) THEN
        RETURN;
    END IF;
    SELECT a.* INTO v_agent FROM gateway.installation i JOIN gateway.agent a ON a.id = i.agent_id
    WHERE i.id = p_installation;
    IF v_agent.runtime_id IS NULL OR v_agent.archived_at IS NOT NULL THEN
        INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
        VALUES (p_installation, p_session, now(), now()) ON CONFLICT DO NOTHING;
        NOTIFY gateway_window;
    ELSE
        INSERT INTO gateway.agent_task (installation_id, session_id, agent_id, runtime_id)
        VALUES (p_installation, p_session, v_agent.id, v_agent.runtime_id)
        ON CONFLICT (installation_id, session_id) WHERE status = 'queued' DO NOTHING;
        PERFORM pg_notify('gateway_task', v_agent.runtime_id);
    END IF;
END $$;

-- Ends a claimed task, or one that can't be claimed, as failed, and tells the chat. Its messages stay unanswered: the next
-- run gets them again, but this failure queues none. Where the chat began afresh (/new) after them, they are set aside instead,
-- and what stands behind them gets its run.
CREATE OR REPLACE FUNCTION gateway.finish_failed(p_task gateway.agent_task, p_error text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_is_set_aside boolean;
    v_has_rest boolean;
BEGIN
    UPDATE gateway.agent_task t SET status = 'failed', finished_at = clock_timestamp(), error = p_error
    WHERE t.installation_id = p_task.installation_id AND t.id = p_task.id;
    UPDATE gateway.chat_session s
    SET claimed_task_id = NULL, failed_position = greatest(s.failed_position, p_task.handed_position),
        answered_position = CASE WHEN s.context_position > p_task.handed_position
            THEN greatest(s.answered_position, p_task.handed_position) ELSE s.answered_position END
    WHERE s.installation_id = p_task.installation_id AND s.id = p_task.session_id
    RETURNING coalesce(s.context_position > p_task.handed_position, false), s.last_user_position > s.answered_position
        INTO v_is_set_aside, v_has_rest;
    PERFORM gateway.put_outbox_for_session(p_task.installation_id, p_task.session_id, 'notice',
        jsonb_build_object('notice', 'run_failed', 'reason', left(p_error, 300), 'is_set_aside', v_is_set_aside,
            'agent', (SELECT a.name FROM gateway.agent a WHERE a.id = p_task.agent_id)), NULL);
    PERFORM pg_notify('gateway_outbox', p_task.installation_id::text);
    IF v_is_set_aside AND v_has_rest THEN
        PERFORM gateway.queue_rest(p_task.installation_id, p_task.session_id);
    END IF;
END $$;

-- Where a session's answers go: the chat, or the topic through the latest user message. That an agent is offline or archived
-- is said once an hour, and again when a worker has claimed a run of the session since. All else is said each time: each
-- failed run had a question of its own.
CREATE OR REPLACE FUNCTION gateway.put_outbox_for_session(
    p_installation bigint, p_session bigint, p_kind text, p_payload jsonb, p_reply_to text
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    IF p_payload ->> 'notice' IN ('agent_offline', 'agent_archived') AND EXISTS (
        SELECT FROM gateway.outbox o
        WHERE o.installation_id = p_installation AND o.session_id = p_session AND o.kind = 'notice'
            AND o.created_at > greatest(now() - interval '1 hour', (SELECT s.claimed_at FROM gateway.chat_session s
                WHERE s.installation_id = p_installation AND s.id = p_session))
            AND o.payload = p_payload AND o.dead_at IS NULL)
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

-- Stores the reply, marks what the task was given as answered, and puts the reply into the outbox. An empty reply
-- sends nothing, and still answers. What the task was not given, and no window covers, gets a run of its own. A lost claim is an
-- error (GW001), and nothing is stored.
CREATE OR REPLACE FUNCTION gateway.complete_task(task_id bigint, worker text, reply text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(complete_task.task_id, complete_task.worker);
    v_position bigint;
    v_has_rest boolean;
    v_trigger text;
    v_has_text boolean := coalesce(reply, '') !~ '^\s*$';
BEGIN
    UPDATE gateway.agent_task t SET status = 'completed', finished_at = clock_timestamp(), claim_expires_at = NULL
    WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
    UPDATE gateway.chat_session s
    SET claimed_task_id = NULL, answered_position = greatest(s.answered_position, v_task.handed_position),
        last_position = s.last_position + CASE WHEN v_has_text THEN 1 ELSE 0 END, updated_at = clock_timestamp()
    WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id
    RETURNING s.last_position, s.last_user_position > s.answered_position INTO v_position, v_has_rest;
    IF v_has_text THEN
        INSERT INTO gateway.chat_message (installation_id, session_id, position, role, content, created_at)
        VALUES (v_task.installation_id, v_task.session_id, v_position, 'assistant', reply, clock_timestamp());
        SELECT m.lark_message_id INTO v_trigger FROM gateway.chat_message m
        WHERE m.installation_id = v_task.installation_id AND m.session_id = v_task.session_id
            AND m.position = v_task.handed_position;
        PERFORM gateway.put_outbox_for_session(v_task.installation_id, v_task.session_id, 'reply',
            jsonb_build_object('text', reply), v_trigger);
        PERFORM pg_notify('gateway_outbox', v_task.installation_id::text);
    END IF;
    IF v_has_rest THEN
        PERFORM gateway.queue_rest(v_task.installation_id, v_task.session_id);
    END IF;
    -- A task that was queued while this one ran can be claimed now.
    PERFORM pg_notify('gateway_task', v_task.runtime_id);
END $$;

-- Gives a queued task to a worker; no row, and the task is cancelled, when nothing is left to answer. The caller holds the
-- locks of the session and the task. Returns what claim_task returns: of the oldest context that has something to answer,
-- the oldest messages, at most 1,000 of them with 4 MiB of text, but one at least. What is left is the next run's.
CREATE FUNCTION gateway.hand_out(p_task gateway.agent_task, p_worker text, p_lease interval) RETURNS TABLE (
    task_id bigint, session_id bigint, workspace text, agent text, chat_id text, chat_type text, attempt int,
    messages jsonb, context bigint, group_context jsonb
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    c_messages CONSTANT int := 1000;
    c_bytes CONSTANT bigint := 4 * 1024 * 1024;
    v_session gateway.chat_session;
    v_message record;
    v_messages jsonb[] := '{}';
    v_bytes bigint := 0;
    v_handed bigint;
    v_context bigint;
    -- The first message of the next context.
    v_end bigint;
BEGIN
    SELECT s.* INTO v_session FROM gateway.chat_session s
    WHERE s.installation_id = p_task.installation_id AND s.id = p_task.session_id;
    v_context := v_session.context_position;
    IF v_context > v_session.answered_position + 1 THEN
        -- What stands before a boundary and is not answered yet is a run of its own.
        SELECT m.position INTO v_handed FROM gateway.chat_message m
        WHERE m.installation_id = p_task.installation_id AND m.session_id = p_task.session_id
            AND m.position > v_session.answered_position AND m.role = 'user'
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
            AND m.position > v_session.answered_position AND m.role = 'user'
            AND gateway.is_answered_by_runs(m.command, m.content) AND (v_end IS NULL OR m.position < v_end)
        ORDER BY m.position LIMIT c_messages
    LOOP
        v_bytes := v_bytes + octet_length(v_message.content);
        EXIT WHEN v_bytes > c_bytes AND v_handed IS NOT NULL;
        v_messages := array_append(v_messages, jsonb_build_object(
            'position', v_message.position, 'lark_message_id', v_message.lark_message_id, 'sender', v_message.sender,
            'content', v_message.content, 'created_at', v_message.created_at));
        v_handed := v_message.position;
    END LOOP;

    IF v_handed IS NULL THEN
        UPDATE gateway.agent_task t
        SET status = 'cancelled', finished_at = clock_timestamp(), error = 'nothing was left to answer'
        WHERE t.installation_id = p_task.installation_id AND t.id = p_task.id;
        RETURN;
    END IF;

    UPDATE gateway.agent_task t
    SET status = 'claimed', worker = p_worker, lease = p_lease, handed_position = v_handed,
        claimed_at = clock_timestamp(), claim_expires_at = clock_timestamp() + p_lease
    WHERE t.installation_id = p_task.installation_id AND t.id = p_task.id;
    UPDATE gateway.chat_session s
    SET claimed_task_id = p_task.id, handed_position = greatest(s.handed_position, v_handed), claimed_at = clock_timestamp()
    WHERE s.installation_id = p_task.installation_id AND s.id = p_task.session_id;

    RETURN QUERY
    SELECT p_task.id, p_task.session_id, w.name, a.name, b.chat_id, b.chat_type, p_task.attempt, to_jsonb(v_messages),
        v_context, coalesce((SELECT g.messages FROM gateway.group_context g
            WHERE g.installation_id = p_task.installation_id AND g.session_id = p_task.session_id
                AND g.position > v_session.answered_position AND g.position <= v_handed), '[]')
    FROM gateway.agent a
    JOIN gateway.workspace w ON w.id = a.workspace_id
    JOIN gateway.chat_binding b ON b.installation_id = p_task.installation_id AND b.session_id = p_task.session_id
    WHERE a.id = p_task.agent_id;
END $$;

-- Claims the oldest claimable task of a runtime, of one installation where one is given; no row when there is none.
-- messages: user messages of one context after the last answered one, in order (see hand_out), as
-- [{position, lark_message_id, sender, content, created_at}]; commands are none. context: which /new the messages stand
-- after, by its position; 0: none. A worker that remembers a session forgets it when the context changes. group_context:
-- what was said in the group before, by others: [{lark_message_id, sender, from: user or bot, content, created_at}].
-- A task whose messages can't be handed out fails, its chat is told, and the next one is claimed.
CREATE OR REPLACE FUNCTION gateway.claim_task(
    runtime text, worker text, lease interval DEFAULT '60 seconds', installation bigint DEFAULT NULL
) RETURNS TABLE (
    task_id bigint, session_id bigint, workspace text, agent text, chat_id text, chat_type text, attempt int,
    messages jsonb, context bigint, group_context jsonb
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_task gateway.agent_task;
BEGIN
    IF claim_task.worker IS NULL OR claim_task.worker = '' THEN
        RAISE EXCEPTION 'claim_task needs a worker name' USING ERRCODE = '22023';
    END IF;
    -- A lease that no timestamp can hold is the caller's fault, and must not fail a task below.
    IF claim_task.lease IS NULL OR clock_timestamp() + claim_task.lease IS NULL THEN
        RAISE EXCEPTION 'claim_task needs a lease' USING ERRCODE = '22023';
    END IF;
    PERFORM gateway.expire_claims(claim_task.runtime);
    LOOP
        -- Both rows at once, and neither waited for: who holds a session's lock may wait for its task's.
        IF claim_task.installation IS NULL THEN
            SELECT t.* INTO v_task
            FROM gateway.agent_task t
            JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
            WHERE t.status = 'queued' AND t.runtime_id = claim_task.runtime AND t.runtime_id <> ''
                AND s.claimed_task_id IS NULL
            ORDER BY t.created_at, t.id LIMIT 1
            FOR NO KEY UPDATE OF t, s SKIP LOCKED;
        ELSE
            SELECT t.* INTO v_task
            FROM gateway.agent_task t
            JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
            WHERE t.status = 'queued' AND t.runtime_id = claim_task.runtime AND t.runtime_id <> ''
                AND t.installation_id = claim_task.installation AND s.claimed_task_id IS NULL
            ORDER BY t.created_at, t.id LIMIT 1
            FOR NO KEY UPDATE OF t, s SKIP LOCKED;
        END IF;
        EXIT WHEN NOT FOUND;

        BEGIN
            RETURN QUERY SELECT * FROM gateway.hand_out(v_task, claim_task.worker, claim_task.lease);
            EXIT WHEN FOUND;
        -- The classes that speak of this task's rows (22, 23, 54, XX). What speaks of the server goes to the worker, which asks
        -- again.
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR internal_error THEN
            PERFORM gateway.finish_failed(v_task, format('its messages could not be read (SQLSTATE %s)', SQLSTATE));
        END;
    END LOOP;
END $$;

-- Carries out one command that stands at a position of a session, and puts its answer into the outbox. The caller holds
-- the session's lock.
CREATE OR REPLACE FUNCTION gateway.run_command(
    p_installation bigint, p_session bigint, p_position bigint, p_message_id text, p_sender text, p_content text,
    p_command text, p_title text, p_description text
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_answer jsonb;
    v_title text := left(p_title, 500);
    v_number bigint;
    v_workspace gateway.workspace;
BEGIN
    CASE p_command
    WHEN 'new' THEN
        -- What failed is set aside. What was never tried is still run, on its own side of the boundary, and so is what is
        -- being tried now.
        UPDATE gateway.chat_session s
        SET context_position = p_position,
            answered_position = CASE WHEN s.claimed_task_id IS NULL
                THEN greatest(s.answered_position, s.failed_position) ELSE s.answered_position END
        WHERE s.installation_id = p_installation AND s.id = p_session;
        -- With a text the agent's reply is the answer.
        IF p_content = '' THEN v_answer := '{"notice": "context_started"}'; END IF;
    WHEN 'issue' THEN
        IF coalesce(v_title, '') = '' THEN
            -- The first line of what was said before, of an issue its title.
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
            INSERT INTO gateway.issue (workspace_id, number, title, description, created_by, installation_id, session_id,
                lark_message_id)
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
