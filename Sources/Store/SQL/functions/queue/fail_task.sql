-- Fails a claimed task and tells the chat; the next run gets its messages again, unless a /new set them aside
-- (see finish_failed).
--
--   error   what the chat is told; its first 2,000 characters are kept
--   token   the one that the task was claimed with
--
-- Raises GW001 when the worker lost its claim. Locks: the session, then the task (hold_task). Public worker function.
CREATE OR REPLACE FUNCTION gateway.fail_task(
    task_id bigint, worker text, error text, token text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(fail_task.task_id, fail_task.worker, fail_task.token);
BEGIN
    PERFORM gateway.finish_failed(v_task, 
        coalesce(nullif(btrim(left(fail_task.error, 2000)), ''), 'no reason given'));
    PERFORM pg_notify('gateway_task', v_task.runtime_id);
END $$;
