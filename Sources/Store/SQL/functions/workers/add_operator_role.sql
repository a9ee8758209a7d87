-- Allows a database role to run the commands of administration (see grant_operator_rights).
--
-- Raises 42704 when there is no such role, and 22023 when the role has the rights of the schema's owner anyway.
-- Called by lark-gateway migrate --grant.
CREATE OR REPLACE FUNCTION gateway.add_operator_role(p_role text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = p_role) THEN
        RAISE EXCEPTION 'there is no database role %', p_role USING ERRCODE = '42704',
            HINT = 'make it first, as an administrator of the database: CREATE ROLE ... LOGIN PASSWORD ...';
    END IF;
    IF pg_has_role(p_role, (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'gateway'), 'USAGE') THEN
        RAISE EXCEPTION 'role % owns the schema, or has the rights of its owner', p_role USING ERRCODE = '22023',
            HINT = 'make a role for operators alone, which is no superuser and no member of the owner';
    END IF;
    PERFORM gateway.grant_operator_rights(p_role);
END $$;
