-- Checks that the role that logged in may call a worker function.
--
--   p_runtime   also checks that the role may claim tasks of this runtime; NULL: does not
--
-- A role with the rights of the schema's owner may do everything. Another one needs a token of 16 characters at least
-- (22023), and a right to the runtime (42501; see add_worker_role).
-- Called by the worker functions: in them, current_user is the owner, and session_user is the role that logged in.
CREATE OR REPLACE FUNCTION gateway.check_worker_role(p_token text, p_runtime text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF pg_has_role(session_user, current_user, 'USAGE') THEN
        RETURN;
    END IF;
    IF p_token IS NULL OR length(p_token) < 16 THEN
        RAISE EXCEPTION 'a worker role needs a token of at least 16 characters' USING ERRCODE = '22023',
            HINT = 'claim with a random token (claim_task(..., token => ...)), and give it to the other functions too';
    END IF;
    IF p_runtime IS NOT NULL AND NOT EXISTS (
        SELECT FROM gateway.worker_role w JOIN pg_roles r ON r.rolname = w.role_name
        WHERE w.runtime_id = p_runtime AND pg_has_role(session_user, r.oid, 'USAGE'))
    THEN
        RAISE EXCEPTION 'role % may not claim tasks of runtime %', session_user, p_runtime USING ERRCODE = '42501',
            HINT = 'the administrator allows it with lark-gateway worker-role add';
    END IF;
END $$;
