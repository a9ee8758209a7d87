-- Returns the invitations of the workspace that a link belongs to, for the caller to compare their hashes with the code
-- that was entered. Used and expired ones are among them, so that the page can say which it was.
--
-- Called by the pairing site.
CREATE OR REPLACE FUNCTION gateway.list_invitations(p_link_sha256 bytea)
RETURNS TABLE (invitation bigint, code_sha256 bytea) LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT v.id, v.code_sha256
    FROM gateway.binding_token t
    JOIN gateway.installation i ON i.id = t.installation_id
    JOIN gateway.invitation v ON v.workspace_id = i.workspace_id
    WHERE t.link_sha256 = p_link_sha256
$$;
