-- Completes a claimed task: stores the reply, advances answered_position to the position that the task was handed, and
-- puts the reply into the outbox, in one transaction.
--
--   reply   Markdown. An empty reply (NULL, white space) sends nothing, and the messages still count as answered
--   token   the one that the task was claimed with
--
-- Messages that the task was not handed and no window covers get a run of their own (queue_rest).
-- Raises GW001 when the worker lost its claim, and 22023 when the reply is over 8 MiB; nothing is stored then.
-- Locks: the session, then the task (hold_task). Public worker function.
CREATE OR REPLACE FUNCTION gateway.complete_task(
    task_id bigint, worker text, reply text, token text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(complete_task.task_id, complete_task.worker, complete_task.token);
    v_position bigint;
    v_has_rest boolean;
    v_trigger text;
    v_has_text boolean := coalesce(reply, '') !~ '^\s*$';
BEGIN
    IF octet_length(reply) > 8 * 1024 * 1024 THEN
        RAISE EXCEPTION 'the reply to task % is over 8 MiB', v_task.id USING ERRCODE = '22023',
            HINT = 'complete the task with a shorter reply, or fail it';
    END IF;
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
    IF EXISTS (SELECT FROM gateway.agent_task t
               WHERE t.installation_id = v_task.installation_id AND t.session_id = v_task.session_id
                   AND t.status = 'queued')
    THEN
        PERFORM pg_notify('gateway_task', v_task.runtime_id);
    END IF;
END $$;
