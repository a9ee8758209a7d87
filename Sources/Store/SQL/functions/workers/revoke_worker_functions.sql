-- Takes every right to the schema from a role that is no worker any more. Called by remove_worker_role.
CREATE OR REPLACE FUNCTION gateway.revoke_worker_functions(p_role text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format('REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA gateway FROM %I', p_role);
    EXECUTE format('REVOKE USAGE ON SCHEMA gateway FROM %I', p_role);
END $$;
