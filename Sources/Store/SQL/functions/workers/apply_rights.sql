-- Sets the rights in the schema: PUBLIC has none to its functions, a worker role has those to the worker functions, and
-- an operator's role those of the commands. An operator's role is one that may write invitations and does not own them.
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
    FOR v_role IN
        SELECT DISTINCT r.rolname FROM pg_class c, aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'gateway.invitation'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner
    LOOP
        PERFORM gateway.grant_operator_rights(v_role);
    END LOOP;
END $$;
