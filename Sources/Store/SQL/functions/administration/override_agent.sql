-- Sets what a command says of an agent; it counts whatever the file says (agent_override), until reset_agent. A trigger
-- (reconsider_sessions) decides anew about messages that wait.
--
--   p_setting   runtime, may_mention_all or archived
--   p_value     a runtime (NULL: offline), or true or false. Not archived takes a command's `archive` back; an agent
--               that the file has archived stays whatever the file says
--   p_user      who gave the command; at most 200 letters of it are kept
--
-- Returns false where there is no such agent. Locks: the agent's row (FOR NO KEY UPDATE). Called by the commands
-- `agent set-runtime`, `set-offline`, `set-mention-all`, `archive` and `restore`.
CREATE OR REPLACE FUNCTION gateway.override_agent(
    p_workspace text, p_agent text, p_setting text, p_value text, p_user text
) RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_known gateway.agent;
BEGIN
    SELECT a.* INTO v_known FROM gateway.agent a JOIN gateway.workspace w ON w.id = a.workspace_id
    WHERE w.name = p_workspace AND a.name = p_agent FOR NO KEY UPDATE OF a;
    IF v_known.id IS NULL THEN
        RETURN false;
    END IF;
    CASE p_setting
        WHEN 'runtime' THEN
            UPDATE gateway.agent a SET runtime_id = p_value WHERE a.id = v_known.id;
        WHEN 'may_mention_all' THEN
            UPDATE gateway.agent a SET may_mention_all = p_value::boolean WHERE a.id = v_known.id;
        WHEN 'archived' THEN
            UPDATE gateway.agent a
            SET archived_at = CASE WHEN p_value::boolean THEN coalesce(a.archived_at, clock_timestamp()) END,
                archived_by = CASE WHEN p_value::boolean THEN 'command' END
            WHERE a.id = v_known.id;
    END CASE;
    IF p_setting = 'archived' AND NOT p_value::boolean AND (v_known.is_in_file OR v_known.origin = 'command') THEN
        DELETE FROM gateway.agent_override o WHERE o.agent_id = v_known.id AND o.setting = 'archived';
    ELSE
        INSERT INTO gateway.agent_override AS o (agent_id, setting, made_by, made_at)
        VALUES (v_known.id, p_setting, left(p_user, 200), clock_timestamp())
        ON CONFLICT (agent_id, setting) DO UPDATE SET made_by = EXCLUDED.made_by, made_at = EXCLUDED.made_at;
    END IF;
    RETURN true;
END $$;
