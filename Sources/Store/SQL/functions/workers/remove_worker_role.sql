-- Takes the right to a runtime from a worker role; with the last one also the right to call the worker functions.
--
--   p_runtime   NULL means all of them
--
-- Returns how many runtimes it can't work for any more. A claim that the role holds ends with its lease.
-- Called by lark-gateway worker-role.
CREATE OR REPLACE FUNCTION gateway.remove_worker_role(p_role text, p_runtime text) RETURNS int LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_count int;
BEGIN
    DELETE FROM gateway.worker_role w WHERE w.role_name = p_role AND (p_runtime IS NULL OR w.runtime_id = p_runtime);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF NOT EXISTS (SELECT FROM gateway.worker_role w WHERE w.role_name = p_role)
        AND EXISTS (SELECT FROM pg_roles r WHERE r.rolname = p_role)
    THEN
        PERFORM gateway.revoke_worker_functions(p_role);
    END IF;
    RETURN v_count;
END $$;
