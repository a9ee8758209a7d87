-- What commands and the configuration file say about workspaces, agents, installations and members, made true.
-- What the file made and names no longer is revoked or archived, never deleted; what a command made, or a command revoked,
-- is left alone by the file.

ALTER TABLE gateway.installation
    ADD origin text NOT NULL DEFAULT 'config' CONSTRAINT installation_origin CHECK (origin IN ('config', 'command')),
    -- NULL: active.
    ADD revoked_by text CONSTRAINT installation_revoked_by CHECK (revoked_by IN ('config', 'command'));
ALTER TABLE gateway.agent
    ADD origin text NOT NULL DEFAULT 'config' CONSTRAINT agent_origin CHECK (origin IN ('config', 'command')),
    ADD archived_by text CONSTRAINT agent_archived_by CHECK (archived_by IN ('config', 'command'));
ALTER TABLE gateway.member
    -- chat: with their first message, where access is open.
    ADD origin text NOT NULL DEFAULT 'chat' CONSTRAINT member_origin CHECK (origin IN ('chat', 'command'));

-- Makes an installation for an app, or takes the row that the app has. An app that is active elsewhere is refused, and the
-- words say where (GW002).
CREATE FUNCTION gateway.put_installation(
    p_app_id text, p_workspace text, p_agent text, p_domain text, p_locale text, p_access text, p_origin text
) RETURNS TABLE (installation_id bigint, status text, was text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_known gateway.installation;
    v_agent_name text;
    v_is_archived boolean;
    v_workspace_name text;
    v_id bigint;
    v_is_new_agent boolean := NOT EXISTS (
        SELECT FROM gateway.agent a JOIN gateway.workspace w ON w.id = a.workspace_id
        WHERE w.name = p_workspace AND a.name = p_agent);
BEGIN
    SELECT i.* INTO v_known FROM gateway.installation i WHERE i.app_id = p_app_id FOR NO KEY UPDATE;
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
    RETURN QUERY
    UPDATE gateway.installation i
    SET origin = p_origin,
        -- The file takes back what the file revoked, a command takes back anything.
        status = CASE WHEN p_origin = 'command' OR i.revoked_by = 'config' THEN 'active' ELSE i.status END,
        revoked_by = CASE WHEN p_origin = 'command' OR i.revoked_by = 'config' THEN NULL ELSE i.revoked_by END,
        -- The file brings the secret itself.
        sealed_secret = CASE WHEN p_origin = 'command' THEN i.sealed_secret END,
        sealed_key_id = CASE WHEN p_origin = 'command' THEN i.sealed_key_id END
    WHERE i.id = v_id
    RETURNING i.id, i.status, CASE WHEN v_known.id IS NULL THEN 'new' ELSE v_known.status END;
END $$;

-- Ends an installation: its connection is closed, and what still comes is dropped as revoked_installation.
CREATE FUNCTION gateway.revoke_installation(p_app_id text, p_by text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gateway.installation i
    SET status = 'revoked', revoked_by = p_by, lease_holder = NULL, lease_expires_at = NULL,
        free_since = clock_timestamp(), wanted_by = NULL, connection_state = NULL, connection_reason = NULL,
        connection_since = NULL, connection_retry_at = NULL
    WHERE i.app_id = p_app_id AND i.status = 'active';
    RETURN FOUND;
END $$;

-- Stores a sealed secret; the connection is made again with it.
CREATE FUNCTION gateway.put_secret(p_app_id text, p_sealed bytea, p_key_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gateway.installation i SET sealed_secret = p_sealed, sealed_key_id = p_key_id WHERE i.app_id = p_app_id;
    RETURN FOUND;
END $$;

-- The whole of a configuration file, in one transaction: p_agents [{workspace, name, runtime}], p_installations [{app_id,
-- workspace, agent, domain, locale, access}]. Returns what it changed: installation added, restored, revoked or
-- stays_revoked; agent restored or archived.
CREATE FUNCTION gateway.apply_configuration(p_agents jsonb, p_installations jsonb)
RETURNS TABLE (kind text, name text, change text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_agent record;
    v_installation record;
    v_result record;
    v_named bigint[] := '{}';
BEGIN
    -- Replicas that start together apply the same file one after another.
    PERFORM pg_advisory_xact_lock(7810759452391891044);
    FOR v_agent IN SELECT * FROM jsonb_to_recordset(p_agents) AS r (workspace text, name text, runtime text) LOOP
        v_named := v_named || gateway.apply_agent(v_agent.workspace, v_agent.name, v_agent.runtime, true);
    END LOOP;
    FOR v_installation IN SELECT * FROM jsonb_to_recordset(p_installations)
        AS r (app_id text, workspace text, agent text, domain text, locale text, access text) LOOP
        SELECT * INTO v_result FROM gateway.put_installation(v_installation.app_id, v_installation.workspace,
            v_installation.agent, v_installation.domain, v_installation.locale, v_installation.access, 'config');
        v_named := v_named || (SELECT i.agent_id FROM gateway.installation i WHERE i.id = v_result.installation_id);
        IF v_result.was = 'new' OR v_result.was <> v_result.status OR v_result.status = 'revoked' THEN
            RETURN QUERY SELECT 'installation', v_installation.app_id, CASE WHEN v_result.was = 'new' THEN 'added'
                WHEN v_result.status = 'revoked' THEN 'stays_revoked' ELSE 'restored' END;
        END IF;
    END LOOP;
    FOR v_installation IN SELECT i.app_id FROM gateway.installation i
        WHERE i.origin = 'config' AND i.status = 'active'
            AND i.app_id NOT IN (SELECT r ->> 'app_id' FROM jsonb_array_elements(p_installations) r)
        ORDER BY i.id LOOP
        PERFORM gateway.revoke_installation(v_installation.app_id, 'config');
        RETURN QUERY SELECT 'installation', v_installation.app_id, 'revoked';
    END LOOP;

    RETURN QUERY
    UPDATE gateway.agent a SET archived_at = NULL, archived_by = NULL, origin = 'config'
    WHERE a.id = ANY (v_named) AND a.archived_by = 'config'
    RETURNING 'agent', a.name, 'restored';
    UPDATE gateway.agent a SET origin = 'config'
    FROM jsonb_to_recordset(p_agents) AS r (workspace text, name text), gateway.workspace w
    WHERE w.name = r.workspace AND a.workspace_id = w.id AND a.name = r.name AND a.origin <> 'config';
    -- An agent that a command's installation needs stays.
    RETURN QUERY
    UPDATE gateway.agent a SET archived_at = clock_timestamp(), archived_by = 'config'
    WHERE a.origin = 'config' AND a.archived_at IS NULL AND a.id <> ALL (v_named)
        AND NOT EXISTS (SELECT FROM gateway.installation i WHERE i.agent_id = a.id AND i.status = 'active')
    RETURNING 'agent', a.name, 'archived';
END $$;

-- Redeems the code of a prompt: its sender becomes a member of the workspace. Outcomes: bound, unknown, used, expired,
-- already_bound.
CREATE OR REPLACE FUNCTION gateway.approve_code(p_code_sha256 bytea, p_member text)
RETURNS TABLE (outcome text, open_id text, member text, workspace text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_token gateway.binding_token;
    v_workspace gateway.workspace;
    v_member text;
BEGIN
    SELECT * INTO v_token FROM gateway.binding_token t WHERE t.token_sha256 = p_code_sha256 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', NULL::text, NULL::text, NULL::text;
        RETURN;
    END IF;
    SELECT w.* INTO v_workspace FROM gateway.installation i JOIN gateway.workspace w ON w.id = i.workspace_id
    WHERE i.id = v_token.installation_id;
    v_member := coalesce(nullif(p_member, ''), v_token.open_id);
    IF v_token.used_at IS NOT NULL OR v_token.expires_at < clock_timestamp() THEN
        RETURN QUERY SELECT CASE WHEN v_token.used_at IS NOT NULL THEN 'used' ELSE 'expired' END,
            v_token.open_id, v_member, v_workspace.name;
        RETURN;
    END IF;
    UPDATE gateway.binding_token t SET used_at = clock_timestamp()
    WHERE t.installation_id = v_token.installation_id AND t.token_sha256 = p_code_sha256;
    INSERT INTO gateway.member (workspace_id, name, origin) VALUES (v_workspace.id, v_member, 'command')
    ON CONFLICT ON CONSTRAINT member_name_unique DO NOTHING;
    INSERT INTO gateway.member_binding (installation_id, open_id, workspace_id, member_id)
    SELECT v_token.installation_id, v_token.open_id, m.workspace_id, m.id FROM gateway.member m
    WHERE m.workspace_id = v_workspace.id AND m.name = v_member
    ON CONFLICT (installation_id, open_id) DO NOTHING;
    RETURN QUERY SELECT CASE WHEN FOUND THEN 'bound' ELSE 'already_bound' END,
        v_token.open_id, v_member, v_workspace.name;
END $$;
