-- Redeems a link with an invitation (NULL: no invitation has the code that was given). The link's person is bound,
-- whoever opened it. Of several concurrent calls one succeeds. Returns the outcome:
--
--   bound, already_bound   the person is a member now, or was one
--   unknown                no such link; also what link_state returns for a link that is not open
--   wrong_code, invitation_used, invitation_expired
--   wrong_person           the invitation is for another open_id
--   member_taken           the member is bound to this bot with another account
--
-- Each outcome from wrong_code on counts as one wrong code. Locks: the token, then the invitation (FOR UPDATE).
CREATE OR REPLACE FUNCTION gateway.redeem_link(p_link_sha256 bytea, p_invitation bigint) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_token gateway.binding_token;
    v_invitation gateway.invitation;
    v_state text;
    v_outcome text;
BEGIN
    SELECT * INTO v_token FROM gateway.binding_token t WHERE t.link_sha256 = p_link_sha256 FOR UPDATE;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    v_state := gateway.link_state(v_token);
    IF v_state <> 'open' THEN RETURN v_state; END IF;
    IF EXISTS (SELECT FROM gateway.member_binding b
               WHERE b.installation_id = v_token.installation_id AND b.open_id = v_token.open_id) THEN
        RETURN 'already_bound';
    END IF;

    SELECT v.* INTO v_invitation FROM gateway.invitation v
    JOIN gateway.installation i ON i.workspace_id = v.workspace_id
    WHERE i.id = v_token.installation_id AND v.id = p_invitation FOR UPDATE OF v;
    v_outcome := CASE WHEN NOT FOUND THEN 'wrong_code'
        WHEN v_invitation.used_at IS NOT NULL THEN 'invitation_used'
        WHEN v_invitation.expires_at < clock_timestamp() THEN 'invitation_expired'
        WHEN v_invitation.open_id <> v_token.open_id THEN 'wrong_person'
        WHEN EXISTS (SELECT FROM gateway.member m
            JOIN gateway.member_binding b ON b.workspace_id = m.workspace_id AND b.member_id = m.id
            WHERE m.workspace_id = v_invitation.workspace_id AND m.name = v_invitation.member
                AND b.installation_id = v_token.installation_id) THEN 'member_taken' END;
    IF v_outcome IS NOT NULL THEN
        UPDATE gateway.binding_token t SET wrong_codes = t.wrong_codes + 1
        WHERE t.installation_id = v_token.installation_id AND t.token_sha256 = v_token.token_sha256;
        RETURN v_outcome;
    END IF;
    UPDATE gateway.binding_token t SET used_at = clock_timestamp()
    WHERE t.installation_id = v_token.installation_id AND t.token_sha256 = v_token.token_sha256;
    IF NOT gateway.bind_sender(v_token.installation_id, v_token.open_id, v_invitation.member) THEN
        RETURN 'already_bound';
    END IF;
    UPDATE gateway.invitation v SET used_at = clock_timestamp()
    WHERE v.workspace_id = v_invitation.workspace_id AND v.id = v_invitation.id;
    RETURN 'bound';
END $$;
