-- Shows the progress of a claimed task, in place of its previous report; an empty report is ignored.
--
--   token   the one that the task was claimed with
--
-- Raises GW001 when the worker lost its claim. Locks: the session, then the task (hold_task). Public worker function.
CREATE OR REPLACE FUNCTION gateway.report_progress(
    task_id bigint, worker text, progress text, token text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_task gateway.agent_task :=
        gateway.hold_task(report_progress.task_id, report_progress.worker, report_progress.token);
    v_text text := left(btrim(coalesce(report_progress.progress, '')), 2000);
BEGIN
    IF v_text = '' THEN RETURN; END IF;
    INSERT INTO gateway.progress AS p (installation_id, task_id, session_id, text)
    VALUES (v_task.installation_id, v_task.id, v_task.session_id, v_text)
    ON CONFLICT ON CONSTRAINT progress_pkey DO UPDATE SET text = EXCLUDED.text, version = p.version + 1;
    PERFORM pg_notify('gateway_progress', v_task.installation_id::text);
END $$;
