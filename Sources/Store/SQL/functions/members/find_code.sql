-- Returns whom a prompt's code would let in, for an administrator to decide; no row when there is no such code.
--
--   state     see link_state
--   member    the member that the sender already is; NULL: none
--   chat_id   where the sender wrote last before the prompt; NULL: not known any more
--   domain, sealed_secret, sealed_key_id   what the platform can be asked with for the sender's name; no
--             secret where the caller may not read it
--
-- Called by the command `member approve`.
CREATE OR REPLACE FUNCTION gateway.find_code(p_code_sha256 bytea)
RETURNS TABLE (
    state text, app_id text, open_id text, agent text, workspace text, member text, chat_id text, domain text,
    sealed_secret bytea, sealed_key_id text
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT gateway.link_state(t), i.app_id, t.open_id, a.name, w.name, m.name,
        (SELECT r.chat_id FROM gateway.inbound_audit r
         WHERE r.installation_id = t.installation_id AND r.sender = t.open_id AND r.reason = 'unbound_user'
            AND r.received_at BETWEEN t.expires_at - interval '2 hours' AND t.expires_at
         ORDER BY r.received_at DESC LIMIT 1),
        i.domain, gateway.readable_secret(i.id), i.sealed_key_id
    FROM gateway.binding_token t
    JOIN gateway.installation i ON i.id = t.installation_id
    JOIN gateway.agent a ON a.id = i.agent_id
    JOIN gateway.workspace w ON w.id = i.workspace_id
    LEFT JOIN gateway.member_binding b ON b.installation_id = t.installation_id AND b.open_id = t.open_id
    LEFT JOIN gateway.member m ON m.workspace_id = b.workspace_id AND m.id = b.member_id
    WHERE t.token_sha256 = p_code_sha256
$$;
