-- Makes sure that an installation of an app exists with these settings, and the agent that it names; returns its id and
-- status. Never changes the status: a revoked installation stays revoked.
--
-- Raises GW002 when the app is active in another workspace. Called by put_installation.
CREATE OR REPLACE FUNCTION gateway.apply_installation(
    p_app_id text, p_workspace text, p_agent text, p_domain text, p_locale text, p_access text
) RETURNS TABLE (installation_id bigint, status text) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_agent bigint := gateway.apply_agent(p_workspace, p_agent, 'default', false);
    v_workspace bigint := (SELECT w.id FROM gateway.workspace w WHERE w.name = p_workspace);
    v_owner text;
BEGIN
    SELECT w.name INTO v_owner FROM gateway.installation i JOIN gateway.workspace w ON w.id = i.workspace_id
    WHERE i.app_id = p_app_id AND i.workspace_id <> v_workspace AND i.status = 'active';
    IF v_owner IS NOT NULL THEN
        RAISE EXCEPTION 'app % is installed for workspace %', p_app_id, v_owner USING ERRCODE = 'GW002';
    END IF;
    RETURN QUERY
    INSERT INTO gateway.installation AS i (app_id, workspace_id, agent_id, domain, locale, access)
    VALUES (p_app_id, v_workspace, v_agent, p_domain, p_locale, p_access)
    ON CONFLICT ON CONSTRAINT installation_app_unique DO UPDATE
        SET workspace_id = v_workspace, agent_id = v_agent, domain = p_domain, locale = p_locale, access = p_access
    RETURNING i.id, i.status;
END $$;
