-- Makes sure that an agent of the configuration file exists, and its workspace; returns the agent's id.
--
--   p_runtime     the agent's runtime; NULL means offline
--   p_is_listed   true for an agent that the file lists: its runtime is set, unless a command has set it
--                 (agent_override). false for one that only an installation names: an agent that exists keeps its
--                 runtime
--
-- Called by apply_configuration and apply_installation.
CREATE OR REPLACE FUNCTION gateway.apply_agent(p_workspace text, p_agent text, p_runtime text, p_is_listed boolean)
RETURNS bigint LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_workspace bigint;
    v_agent bigint;
BEGIN
    INSERT INTO gateway.workspace (name) VALUES (p_workspace)
    ON CONFLICT ON CONSTRAINT workspace_name_unique DO NOTHING;
    SELECT w.id INTO v_workspace FROM gateway.workspace w WHERE w.name = p_workspace;
    INSERT INTO gateway.agent (workspace_id, name, runtime_id, configured_runtime_id)
    VALUES (v_workspace, p_agent, p_runtime, p_runtime)
    ON CONFLICT ON CONSTRAINT agent_name_unique DO NOTHING;
    SELECT a.id INTO v_agent FROM gateway.agent a WHERE a.workspace_id = v_workspace AND a.name = p_agent;
    -- An agent that only an installation names keeps the runtime it has.
    IF p_is_listed THEN
        UPDATE gateway.agent a SET configured_runtime_id = p_runtime
        WHERE a.id = v_agent AND a.configured_runtime_id IS DISTINCT FROM p_runtime;
        UPDATE gateway.agent a SET runtime_id = p_runtime
        WHERE a.id = v_agent AND a.runtime_id IS DISTINCT FROM p_runtime AND NOT EXISTS (
            SELECT FROM gateway.agent_override o WHERE o.agent_id = a.id AND o.setting = 'runtime');
    END IF;
    RETURN v_agent;
END $$;
