-- Gives a role the right to call the worker functions, and no other right. Raises 42704 when there is no such role.
-- Called by add_worker_role and apply_rights.
CREATE OR REPLACE FUNCTION gateway.grant_worker_functions(p_role text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA gateway TO %I', p_role);
    EXECUTE format('GRANT EXECUTE ON FUNCTION gateway.claim_task, gateway.extend_task, gateway.complete_task,'
        ' gateway.fail_task, gateway.report_progress, gateway.return_claims TO %I', p_role);
END $$;
