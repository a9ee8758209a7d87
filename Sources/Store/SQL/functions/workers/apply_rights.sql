-- Sets the rights to the functions of the schema: PUBLIC has none, a worker role has those to the worker functions.
--
-- PUBLIC may execute a function that was just made, and a function that was dropped and made again has lost its grants.
-- Called by the migrator whenever it has applied a definition, in the same transaction.
CREATE OR REPLACE FUNCTION gateway.apply_rights() RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_role text;
BEGIN
    REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA gateway FROM PUBLIC;
    -- A role that was dropped keeps its rows until remove_worker_role is called for it.
    FOR v_role IN SELECT DISTINCT w.role_name FROM gateway.worker_role w JOIN pg_roles r ON r.rolname = w.role_name LOOP
        PERFORM gateway.grant_worker_functions(v_role);
    END LOOP;
END $$;
