-- Makes an installation for an app, or changes the one that the app has.
--
--   p_origin   who asks: config (the file) or command. The file restores what the file revoked; a command restores any
--
-- A sealed secret is for one domain: with another domain it is taken away, and the caller gives it again (put_secret).
-- The file brings the secret itself, unless a command has given one since (installation_override), which stays, and
-- opens for the domain alone that it was given for. A command's words of before go: this one says all of it.
-- Returns the installation's id, its status, and the status that it had before (was; new for an app that had none).
-- Raises GW002 when the app is active in another workspace, or, for a command, with another agent; the message says
-- which. Locks: the app's row (FOR NO KEY UPDATE). Called by apply_configuration and by the command `installation add`.
CREATE OR REPLACE FUNCTION gateway.put_installation(
    p_app_id text, p_workspace text, p_agent text, p_domain text, p_locale text, p_access text, p_origin text
) RETURNS TABLE (installation_id bigint, status text, was text) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_known record;
    v_agent_name text;
    v_is_archived boolean;
    v_workspace_name text;
    v_id bigint;
    v_keeps_secret boolean;
    v_is_new_agent boolean := NOT EXISTS (
        SELECT FROM gateway.agent a JOIN gateway.workspace w ON w.id = a.workspace_id
        WHERE w.name = p_workspace AND a.name = p_agent);
BEGIN
    SELECT i.id, i.status, i.workspace_id, i.agent_id, i.domain INTO v_known
    FROM gateway.installation i WHERE i.app_id = p_app_id FOR NO KEY UPDATE;
    IF v_known.id IS NOT NULL THEN
        SELECT a.name, a.archived_at IS NOT NULL, w.name INTO v_agent_name, v_is_archived, v_workspace_name
        FROM gateway.agent a JOIN gateway.workspace w ON w.id = v_known.workspace_id WHERE a.id = v_known.agent_id;
        IF v_known.status = 'active' AND v_workspace_name <> p_workspace THEN
            RAISE EXCEPTION 'app % is installed for workspace %', p_app_id, v_workspace_name USING ERRCODE = 'GW002';
        END IF;
        -- The file may give an app to another agent of its workspace; a command revokes it first.
        IF v_known.status = 'active' AND p_origin = 'command' AND v_agent_name <> p_agent THEN
            RAISE EXCEPTION 'app % is installed for the % % of this workspace', p_app_id,
                CASE WHEN v_is_archived THEN 'archived agent' ELSE 'agent' END, v_agent_name USING ERRCODE = 'GW002';
        END IF;
    END IF;
    SELECT a.installation_id INTO v_id
    FROM gateway.apply_installation(p_app_id, p_workspace, p_agent, p_domain, p_locale, p_access) a;
    IF v_is_new_agent THEN
        UPDATE gateway.agent a SET origin = p_origin FROM gateway.workspace w
        WHERE w.id = a.workspace_id AND w.name = p_workspace AND a.name = p_agent;
    END IF;
    IF p_origin = 'command' THEN
        DELETE FROM gateway.installation_override o WHERE o.installation_id = v_id;
    END IF;
    v_keeps_secret := CASE WHEN p_origin = 'command' THEN v_known.domain = p_domain ELSE EXISTS (
        SELECT FROM gateway.installation_override o WHERE o.installation_id = v_id AND o.setting = 'app_secret') END;
    -- The file brings the secret itself. What is written is not read: the caller may have no right to read secrets.
    IF NOT coalesce(v_keeps_secret, false) THEN
        UPDATE gateway.installation i SET sealed_secret = NULL, sealed_key_id = NULL
        WHERE i.id = v_id AND i.sealed_key_id IS NOT NULL;
    END IF;
    RETURN QUERY
    UPDATE gateway.installation i
    SET origin = p_origin,
        -- The file takes back what the file revoked, a command takes back anything.
        status = CASE WHEN p_origin = 'command' OR i.revoked_by = 'config' THEN 'active' ELSE i.status END,
        revoked_by = CASE WHEN p_origin = 'command' OR i.revoked_by = 'config' THEN NULL ELSE i.revoked_by END
    WHERE i.id = v_id
    RETURNING i.id, i.status, CASE WHEN v_known.id IS NULL THEN 'new' ELSE v_known.status END;
END $$;
