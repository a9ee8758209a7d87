-- Redeems the code of a prompt for an administrator: its sender becomes a member of the workspace.
--
--   p_member   the member's name; NULL or '' means the sender's open_id
--
-- Returns one row. outcome: bound, already_bound, used, expired, or unknown (then the other columns are NULL).
-- Locks: the token (FOR UPDATE), so that of two calls one succeeds. Called by the command `member approve`.
CREATE OR REPLACE FUNCTION gateway.approve_code(p_code_sha256 bytea, p_member text)
RETURNS TABLE (outcome text, open_id text, member text, workspace text) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_token gateway.binding_token;
    v_workspace text;
    v_member text;
    v_outcome text;
BEGIN
    SELECT * INTO v_token FROM gateway.binding_token t WHERE t.token_sha256 = p_code_sha256 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', NULL::text, NULL::text, NULL::text;
        RETURN;
    END IF;
    SELECT w.name INTO v_workspace FROM gateway.installation i JOIN gateway.workspace w ON w.id = i.workspace_id
    WHERE i.id = v_token.installation_id;
    v_member := coalesce(nullif(p_member, ''), v_token.open_id);
    IF v_token.used_at IS NOT NULL THEN
        v_outcome := 'used';
    ELSIF v_token.expires_at < clock_timestamp() THEN
        v_outcome := 'expired';
    ELSE
        UPDATE gateway.binding_token t SET used_at = clock_timestamp()
        WHERE t.installation_id = v_token.installation_id AND t.token_sha256 = p_code_sha256;
        v_outcome := CASE WHEN gateway.bind_sender(v_token.installation_id, v_token.open_id, v_member)
            THEN 'bound' ELSE 'already_bound' END;
    END IF;
    RETURN QUERY SELECT v_outcome, v_token.open_id, v_member, v_workspace;
END $$;
