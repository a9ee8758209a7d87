-- Returns what a link's page shows; no row when there is no such link.
--
--   state    see link_state
--   member   the member that the link's person already is; NULL after the link's time
--
-- Called by the pairing site.
CREATE OR REPLACE FUNCTION gateway.find_link(p_link_sha256 bytea)
RETURNS TABLE (
    state text, app_id text, open_id text, agent text, workspace text, locale text, member text, tries_left int
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT gateway.link_state(t), i.app_id, t.open_id, a.name, w.name, i.locale,
        CASE WHEN t.expires_at > clock_timestamp() THEN m.name END, gateway.most_wrong_codes() - t.wrong_codes
    FROM gateway.binding_token t
    JOIN gateway.installation i ON i.id = t.installation_id
    JOIN gateway.agent a ON a.id = i.agent_id
    JOIN gateway.workspace w ON w.id = i.workspace_id
    LEFT JOIN gateway.member_binding b ON b.installation_id = t.installation_id AND b.open_id = t.open_id
    LEFT JOIN gateway.member m ON m.workspace_id = b.workspace_id AND m.id = b.member_id
    WHERE t.link_sha256 = p_link_sha256
$$;
