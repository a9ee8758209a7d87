-- Takes back what commands say of an agent: what the file says, or what the agent was made with, counts again at once.
-- One that the file made and does not name any more is archived, unless an active installation needs it.
--
-- Returns how many words were taken back; NULL where there is no such agent. Locks: the agent's row (FOR NO KEY
-- UPDATE). Called by the command `agent reset`.
CREATE OR REPLACE FUNCTION gateway.reset_agent(p_workspace text, p_agent text) RETURNS int LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_known gateway.agent;
    v_count int;
    v_is_archived boolean;
BEGIN
    SELECT a.* INTO v_known FROM gateway.agent a JOIN gateway.workspace w ON w.id = a.workspace_id
    WHERE w.name = p_workspace AND a.name = p_agent FOR NO KEY UPDATE OF a;
    IF v_known.id IS NULL THEN
        RETURN NULL;
    END IF;
    DELETE FROM gateway.agent_override o WHERE o.agent_id = v_known.id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    v_is_archived := v_known.origin = 'config' AND NOT v_known.is_in_file AND NOT EXISTS (
        SELECT FROM gateway.installation i WHERE i.agent_id = v_known.id AND i.status = 'active');
    -- One statement: the trigger decides once about messages that wait.
    UPDATE gateway.agent a
    SET runtime_id = a.configured_runtime_id, may_mention_all = a.configured_may_mention_all,
        archived_at = CASE WHEN v_is_archived THEN coalesce(a.archived_at, clock_timestamp()) END,
        archived_by = CASE WHEN v_is_archived THEN 'config' END
    WHERE a.id = v_known.id;
    RETURN v_count;
END $$;
