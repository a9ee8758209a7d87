-- Raises GW001: the worker does not hold the claim of the task. It must discard its result. Called by hold_task.
CREATE OR REPLACE FUNCTION gateway.refuse_task(p_task bigint, p_worker text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'task % is not claimed by worker %: its claim ran out, or it is finished', p_task, p_worker
        USING ERRCODE = 'GW001', HINT = 'throw this result away and claim the next task';
END $$;
