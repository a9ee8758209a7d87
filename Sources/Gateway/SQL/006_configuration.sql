-- What the configuration file says about agents and installations, made true. Never changes a status: a revoked
-- installation stays revoked.

CREATE FUNCTION gateway.apply_agent(p_workspace text, p_agent text, p_runtime text, p_is_listed boolean)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    v_workspace bigint;
    v_agent bigint;
BEGIN
    INSERT INTO gateway.workspace (name) VALUES (p_workspace) ON CONFLICT ON CONSTRAINT workspace_name_unique DO NOTHING;
    SELECT w.id INTO v_workspace FROM gateway.workspace w WHERE w.name = p_workspace;
    INSERT INTO gateway.agent (workspace_id, name, runtime_id) VALUES (v_workspace, p_agent, p_runtime)
    ON CONFLICT ON CONSTRAINT agent_name_unique DO NOTHING;
    SELECT a.id INTO v_agent FROM gateway.agent a WHERE a.workspace_id = v_workspace AND a.name = p_agent;
    -- An agent that only an installation names keeps the runtime it has.
    IF p_is_listed THEN
        UPDATE gateway.agent a SET runtime_id = p_runtime
        WHERE a.id = v_agent AND a.runtime_id IS DISTINCT FROM p_runtime;
    END IF;
    RETURN v_agent;
END $$;

-- An app that another workspace has is an error (GW002).
CREATE FUNCTION gateway.apply_installation(
    p_app_id text, p_workspace text, p_agent text, p_domain text, p_locale text, p_access text
) RETURNS TABLE (installation_id bigint, status text) LANGUAGE plpgsql AS $$
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

-- Redeems the code of a prompt: its sender becomes a member of the workspace. Outcomes: bound, unknown, used, expired,
-- already_bound.
CREATE FUNCTION gateway.approve_code(p_code_sha256 bytea, p_member text)
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
    INSERT INTO gateway.member (workspace_id, name) VALUES (v_workspace.id, v_member)
    ON CONFLICT ON CONSTRAINT member_name_unique DO NOTHING;
    INSERT INTO gateway.member_binding (installation_id, open_id, workspace_id, member_id)
    SELECT v_token.installation_id, v_token.open_id, m.workspace_id, m.id FROM gateway.member m
    WHERE m.workspace_id = v_workspace.id AND m.name = v_member
    ON CONFLICT (installation_id, open_id) DO NOTHING;
    RETURN QUERY SELECT CASE WHEN FOUND THEN 'bound' ELSE 'already_bound' END,
        v_token.open_id, v_member, v_workspace.name;
END $$;
