-- Allows a database role to work for a runtime: it may call the worker functions for it, and nothing else.
--
--   p_role   a role that exists, for login or as a group; the members of a group have its rights
--
-- Raises 42704 when there is no such role, and 22023 when the role has the rights of the schema's owner anyway, and so
-- can read and write everything. Called by lark-gateway worker-role.
CREATE OR REPLACE FUNCTION gateway.add_worker_role(p_role text, p_runtime text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = p_role) THEN
        RAISE EXCEPTION 'there is no database role %', p_role USING ERRCODE = '42704',
            HINT = 'make it first, as an administrator of the database: CREATE ROLE ... LOGIN PASSWORD ...';
    END IF;
    IF pg_has_role(p_role, (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'gateway'), 'USAGE') THEN
        RAISE EXCEPTION 'role % owns the schema, or has the rights of its owner', p_role USING ERRCODE = '22023',
            HINT = 'make a role for workers alone, which is no superuser and no member of the owner';
    END IF;
    PERFORM gateway.grant_worker_functions(p_role);
    INSERT INTO gateway.worker_role (role_name, runtime_id) VALUES (p_role, p_runtime) ON CONFLICT DO NOTHING;
END $$;
