-- Ends every session of a worker role where Postgres's queue of notifications fills up.
--
--   p_percent   from how full the queue is on
--
-- A session that listens and leaves its transaction open keeps the queue from being emptied. When it is full, every
-- transaction that notifies fails. An honest worker connects again, and loses no task.
--
-- Returns how many sessions were ended; NULL where the queue is less full. Raises 42501 where the caller has neither
-- the rights of those roles nor pg_signal_backend. Called by the gateway's housekeeping.
CREATE OR REPLACE FUNCTION gateway.relieve_notifications(p_percent bigint) RETURNS int LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_owner oid := (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'gateway');
BEGIN
    IF pg_notification_queue_usage() * 100 < p_percent THEN RETURN NULL; END IF;
    RETURN (
        SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid)) FROM pg_stat_activity a
        WHERE EXISTS (SELECT FROM gateway.worker_role w JOIN pg_roles r ON r.rolname = w.role_name
                WHERE pg_has_role(a.usesysid, r.oid, 'USAGE'))
            AND NOT pg_has_role(a.usesysid, v_owner, 'USAGE'));
EXCEPTION WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'the queue of notifications fills up, and sessions of workers can''t be ended'
        USING ERRCODE = '42501', HINT = 'as an administrator: GRANT each worker role TO the role of database_url';
END $$;
