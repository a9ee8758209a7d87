-- Stores an invitation; it replaces unused ones of the same member name. Returns false when there is no such workspace.
--
--   p_open_id   only this sender may use the invitation; NULL means anyone who has the code
--   p_valid     how long the invitation is valid
--
-- Called by the command `member invite`.
CREATE OR REPLACE FUNCTION gateway.invite_member(
    p_workspace text, p_member text, p_open_id text, p_code_sha256 bytea, p_valid interval
) RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_workspace bigint;
BEGIN
    SELECT w.id INTO v_workspace FROM gateway.workspace w WHERE w.name = p_workspace;
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM gateway.invitation v WHERE v.workspace_id = v_workspace AND (
        v.member = p_member AND v.used_at IS NULL OR v.expires_at < clock_timestamp() - interval '30 days');
    INSERT INTO gateway.invitation (workspace_id, member, open_id, code_sha256, expires_at)
    VALUES (v_workspace, p_member, p_open_id, p_code_sha256, clock_timestamp() + p_valid);
    RETURN true;
END $$;
