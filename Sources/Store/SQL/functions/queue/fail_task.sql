-- Fails a claimed task and tells the chat; the next run gets its messages again, unless a /new set them aside
-- (see finish_failed).
-- Raises GW001 when the worker lost its claim. Locks: the session, then the task (hold_task). Public worker function.
CREATE OR REPLACE FUNCTION gateway.fail_task(task_id bigint, worker text, error text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(fail_task.task_id, fail_task.worker);
BEGIN
    PERFORM gateway.finish_failed(v_task, coalesce(nullif(btrim(fail_task.error), ''), 'no reason given'));
    PERFORM pg_notify('gateway_task', v_task.runtime_id);
END $$;
