-- Marks a task as failed and tells the chat. Called for a claimed task, and for a queued one that can't be claimed.
--
-- The task's messages stay unanswered: the next run gets them again, but the failure itself queues no run. If a /new
-- came after them, they count as answered instead (set aside), and the messages behind them get a run.
-- Locks: the caller holds the session's lock and the task's. Called by fail_task, expire_claims and claim_task.
CREATE OR REPLACE FUNCTION gateway.finish_failed(p_task gateway.agent_task, p_error text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
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
