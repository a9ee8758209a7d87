-- Redeems the code of a prompt for an administrator: its sender becomes a member of the workspace.
--
--   p_member           the member's name; NULL or '' means the sender's open_id
--   p_is_same_person   the administrator says that the sender and who has this name already are one person
--
-- Returns one row. outcome:
--
--   bound, already_bound   the sender is a member now, or was one
--   used, expired          the code is good no more
--   revoked                the bot is not active
--   member_taken           a sender with another open_id has this name, with this bot or with another one of the
--                          workspace, and p_is_same_person is false; the code stays good
--   unknown                no such code; the other columns are NULL
--
-- Locks: the token, then the member (FOR UPDATE), so that of two calls for a code or for a name one succeeds. Called by
-- the command `member approve`.
CREATE OR REPLACE FUNCTION gateway.approve_code(
    p_code_sha256 bytea, p_member text, p_is_same_person boolean DEFAULT false
)
RETURNS TABLE (outcome text, open_id text, member text, workspace text) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_token gateway.binding_token;
    v_workspace text;
    v_member text;
    v_outcome text;
    v_state text;
BEGIN
    SELECT * INTO v_token FROM gateway.binding_token t WHERE t.token_sha256 = p_code_sha256 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', NULL::text, NULL::text, NULL::text;
        RETURN;
    END IF;
    SELECT w.name INTO v_workspace FROM gateway.installation i JOIN gateway.workspace w ON w.id = i.workspace_id
    WHERE i.id = v_token.installation_id;
    v_member := coalesce(nullif(p_member, ''), v_token.open_id);
    v_state := gateway.link_state(v_token);
    -- A link that is blocked says nothing of the code, which was shown to its person alone.
    IF v_state NOT IN ('open', 'blocked') THEN
        v_outcome := v_state;
    ELSIF NOT p_is_same_person AND gateway.is_taken(v_token.installation_id, v_token.open_id, v_member) THEN
        v_outcome := 'member_taken';
    ELSE
        UPDATE gateway.binding_token t SET used_at = clock_timestamp()
        WHERE t.installation_id = v_token.installation_id AND t.token_sha256 = p_code_sha256;
        v_outcome := CASE WHEN gateway.bind_sender(v_token.installation_id, v_token.open_id, v_member)
            THEN 'bound' ELSE 'already_bound' END;
    END IF;
    RETURN QUERY SELECT v_outcome, v_token.open_id, v_member, v_workspace;
END $$;
