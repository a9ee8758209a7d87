-- The contract for workers in any language. Whoever changes a session's tasks holds that session's row lock first.

CREATE FUNCTION gateway.refuse_task(p_task bigint, p_worker text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'task % is not claimed by worker %: its claim ran out, or it is finished', p_task, p_worker
        USING ERRCODE = 'GW001', HINT = 'throw this result away and claim the next task';
END $$;

-- Locks the session of a task and then the task; the installation and session when `p_worker` still holds its claim,
-- else an error (GW001).
CREATE FUNCTION gateway.hold_task(p_task bigint, p_worker text) RETURNS gateway.agent_task LANGUAGE plpgsql AS $$
DECLARE
    v_task gateway.agent_task;
BEGIN
    SELECT * INTO v_task FROM gateway.agent_task t WHERE t.id = p_task;
    IF FOUND THEN
        PERFORM FROM gateway.chat_session s
        WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id FOR NO KEY UPDATE;
        SELECT * INTO v_task FROM gateway.agent_task t
        WHERE t.installation_id = v_task.installation_id AND t.id = p_task FOR UPDATE;
    END IF;
    IF v_task.status IS DISTINCT FROM 'claimed' OR v_task.worker IS DISTINCT FROM p_worker THEN
        PERFORM gateway.refuse_task(p_task, p_worker);
    END IF;
    RETURN v_task;
END $$;

-- Ends a claimed task as failed. Its messages stay unanswered: the next run gets them again.
CREATE FUNCTION gateway.finish_failed(p_task gateway.agent_task, p_error text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gateway.agent_task t SET status = 'failed', finished_at = clock_timestamp(), error = p_error
    WHERE t.installation_id = p_task.installation_id AND t.id = p_task.id;
    UPDATE gateway.chat_session s SET claimed_task_id = NULL
    WHERE s.installation_id = p_task.installation_id AND s.id = p_task.session_id;
    PERFORM gateway.put_outbox_for_session(p_task.installation_id, p_task.session_id, 'notice',
        jsonb_build_object('notice', 'run_failed', 'reason', left(p_error, 300),
            'agent', (SELECT a.name FROM gateway.agent a WHERE a.id = p_task.agent_id)), NULL);
    PERFORM pg_notify('gateway_outbox', p_task.installation_id::text);
END $$;

-- Gives back the tasks whose claim ran out: queued again as the next attempt, or failed after the fifth. Returns how
-- many. A task that was queued meanwhile gives way: the one that is given back covers its messages too.
CREATE FUNCTION gateway.expire_claims(p_runtime text DEFAULT NULL) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_task gateway.agent_task;
    v_count int := 0;
BEGIN
    FOR v_task IN
        SELECT t.* FROM gateway.agent_task t
        JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
        WHERE t.status = 'claimed' AND t.claim_expires_at < clock_timestamp()
            AND (p_runtime IS NULL OR t.runtime_id = p_runtime)
        ORDER BY t.id LIMIT 100
        FOR NO KEY UPDATE OF s SKIP LOCKED
    LOOP
        -- Again, under the session's lock: it may have been finished or extended in between.
        SELECT t.* INTO v_task FROM gateway.agent_task t
        WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id
            AND t.status = 'claimed' AND t.claim_expires_at < clock_timestamp()
        FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        v_count := v_count + 1;
        IF v_task.attempt >= 5 THEN
            PERFORM gateway.finish_failed(v_task, 'the worker did not answer in 5 attempts');
        ELSE
            UPDATE gateway.agent_task t
            SET status = 'cancelled', finished_at = clock_timestamp(), error = 'covered by task ' || v_task.id
            WHERE t.installation_id = v_task.installation_id AND t.session_id = v_task.session_id
                AND t.status = 'queued';
            UPDATE gateway.agent_task t
            SET status = 'queued', attempt = t.attempt + 1, worker = NULL, claimed_at = NULL, claim_expires_at = NULL
            WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
            UPDATE gateway.chat_session s SET claimed_task_id = NULL
            WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id;
            PERFORM pg_notify('gateway_task', v_task.runtime_id);
        END IF;
    END LOOP;
    RETURN v_count;
END $$;

-- Claims the oldest claimable task of a runtime, of one installation where one is given; no row when there is none.
-- messages: every user message after the last answered one, in order, as
-- [{position, lark_message_id, sender, content, created_at}].
CREATE FUNCTION gateway.claim_task(
    runtime text, worker text, lease interval DEFAULT '60 seconds', installation bigint DEFAULT NULL
) RETURNS TABLE (
    task_id bigint, session_id bigint, workspace text, agent text, chat_id text, chat_type text, attempt int,
    messages jsonb
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_task gateway.agent_task;
    v_session gateway.chat_session;
    v_messages jsonb;
    v_handed bigint;
BEGIN
    IF claim_task.worker IS NULL OR claim_task.worker = '' THEN
        RAISE EXCEPTION 'claim_task needs a worker name' USING ERRCODE = '22023';
    END IF;
    PERFORM gateway.expire_claims(claim_task.runtime);
    LOOP
        -- Both rows at once, and neither waited for: who holds a session's lock may wait for its task's.
        SELECT t.* INTO v_task
        FROM gateway.agent_task t
        JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
        WHERE t.status = 'queued' AND t.runtime_id = claim_task.runtime AND s.claimed_task_id IS NULL
            AND (claim_task.installation IS NULL OR t.installation_id = claim_task.installation)
        ORDER BY t.id LIMIT 1
        FOR NO KEY UPDATE OF t, s SKIP LOCKED;
        EXIT WHEN NOT FOUND;

        SELECT s.* INTO v_session FROM gateway.chat_session s
        WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id;
        SELECT jsonb_agg(jsonb_build_object(
                'position', m.position, 'lark_message_id', m.lark_message_id, 'sender', m.sender,
                'content', m.content, 'created_at', m.created_at) ORDER BY m.position), max(m.position)
            INTO v_messages, v_handed
        FROM gateway.chat_message m
        WHERE m.installation_id = v_task.installation_id AND m.session_id = v_task.session_id
            AND m.position > v_session.answered_position AND m.role = 'user';

        IF v_handed IS NULL THEN
            UPDATE gateway.agent_task t
            SET status = 'cancelled', finished_at = clock_timestamp(), error = 'nothing was left to answer'
            WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
            CONTINUE;
        END IF;

        UPDATE gateway.agent_task t
        SET status = 'claimed', worker = claim_task.worker, lease = claim_task.lease, handed_position = v_handed,
            claimed_at = clock_timestamp(), claim_expires_at = clock_timestamp() + claim_task.lease
        WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
        UPDATE gateway.chat_session s
        SET claimed_task_id = v_task.id, handed_position = greatest(s.handed_position, v_handed)
        WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id;

        RETURN QUERY
        SELECT v_task.id, v_task.session_id, w.name, a.name, b.chat_id, b.chat_type, v_task.attempt, v_messages
        FROM gateway.agent a
        JOIN gateway.workspace w ON w.id = a.workspace_id
        JOIN gateway.chat_binding b
            ON b.installation_id = v_task.installation_id AND b.session_id = v_task.session_id
        WHERE a.id = v_task.agent_id;
        EXIT;
    END LOOP;
END $$;

-- Renews a claim by the lease it was made with; returns when it ends now. A lost claim is an error (GW001).
CREATE FUNCTION gateway.extend_task(task_id bigint, worker text) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(extend_task.task_id, extend_task.worker);
    v_until timestamptz := clock_timestamp() + v_task.lease;
BEGIN
    UPDATE gateway.agent_task t SET claim_expires_at = v_until
    WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
    RETURN v_until;
END $$;

-- Stores the reply, marks what the task was given as answered, and puts the reply into the outbox. An empty reply
-- sends nothing, and still answers. A lost claim is an error (GW001), and nothing is stored.
CREATE FUNCTION gateway.complete_task(task_id bigint, worker text, reply text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(complete_task.task_id, complete_task.worker);
    v_position bigint;
    v_trigger text;
    v_has_text boolean := coalesce(reply, '') !~ '^\s*$';
BEGIN
    UPDATE gateway.agent_task t SET status = 'completed', finished_at = clock_timestamp(), claim_expires_at = NULL
    WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
    UPDATE gateway.chat_session s
    SET claimed_task_id = NULL, answered_position = greatest(s.answered_position, v_task.handed_position),
        last_position = s.last_position + CASE WHEN v_has_text THEN 1 ELSE 0 END, updated_at = clock_timestamp()
    WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id
    RETURNING s.last_position INTO v_position;
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
    -- A task that was queued while this one ran can be claimed now.
    PERFORM pg_notify('gateway_task', v_task.runtime_id);
END $$;

-- Ends the task as failed and tells the chat; the next run gets its messages again. A lost claim is an error (GW001).
CREATE FUNCTION gateway.fail_task(task_id bigint, worker text, error text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(fail_task.task_id, fail_task.worker);
BEGIN
    PERFORM gateway.finish_failed(v_task, coalesce(nullif(btrim(fail_task.error), ''), 'no reason given'));
    PERFORM pg_notify('gateway_task', v_task.runtime_id);
END $$;
