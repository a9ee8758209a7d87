-- Applies a whole configuration file in one transaction.
--
--   p_agents          [{workspace, name, runtime, may_mention_all}]; a replica of an older version leaves out
--                     may_mention_all, which stays as it is
--   p_installations   [{app_id, workspace, agent, domain, locale, access, strangers_in_context}];
--                     strangers_in_context: include, omit, null (as access is), or left out as may_mention_all
--   p_may_revoke_all  false: a file that leaves none of the bots active that the file made before is refused, whatever
--                     it names instead
--
-- What the file made before and no longer names is revoked (installations) or archived (agents), never deleted. What a
-- command made is left alone, and so is what a command says of anything (agent_override, installation_override): the
-- file's word is noted beside it. Returns one row for each change:
--
--   kind           change
--   installation   added, restored, revoked; stays_revoked when a command had revoked it
--   agent          restored, archived; its name is workspace/agent
--
-- Raises GW002 when an app is active in another workspace, and GW003 for p_may_revoke_all. Locks: an advisory lock
-- first, so that replicas that start together apply the same file one after another. Called by the gateway at its start
-- and at a reload, and by the command `check`, which rolls it back.
CREATE OR REPLACE FUNCTION gateway.apply_configuration(
    p_agents jsonb, p_installations jsonb, p_may_revoke_all boolean DEFAULT true
) RETURNS TABLE (kind text, name text, change text) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_agent record;
    v_installation record;
    v_result record;
    v_named bigint[] := '{}';
    v_active text[];
BEGIN
    -- Replicas that start together apply the same file one after another.
    PERFORM pg_advisory_xact_lock(7810759452391891044);
    v_active := ARRAY(SELECT i.app_id FROM gateway.installation i WHERE i.origin = 'config' AND i.status = 'active'
        ORDER BY i.id);
    FOR v_agent IN SELECT * FROM jsonb_to_recordset(p_agents) AS r (workspace text, name text, runtime text) LOOP
        v_named := v_named || gateway.apply_agent(v_agent.workspace, v_agent.name, v_agent.runtime, true);
    END LOOP;
    UPDATE gateway.agent a SET configured_may_mention_all = r.may_mention_all,
        may_mention_all = CASE WHEN EXISTS (
            SELECT FROM gateway.agent_override o WHERE o.agent_id = a.id AND o.setting = 'may_mention_all')
            THEN a.may_mention_all ELSE r.may_mention_all END
    FROM jsonb_to_recordset(p_agents) AS r (workspace text, name text, may_mention_all boolean), gateway.workspace w
    WHERE w.name = r.workspace AND a.workspace_id = w.id AND a.name = r.name
        AND (a.may_mention_all <> r.may_mention_all OR a.configured_may_mention_all <> r.may_mention_all);
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
    UPDATE gateway.installation i SET tells_of_strangers = r.value ->> 'strangers_in_context' = 'include'
    FROM jsonb_array_elements(p_installations) AS r (value)
    WHERE i.app_id = r.value ->> 'app_id' AND r.value ? 'strangers_in_context'
        AND i.tells_of_strangers IS DISTINCT FROM (r.value ->> 'strangers_in_context' = 'include');
    UPDATE gateway.installation i SET is_in_file = NOT i.is_in_file
    WHERE i.is_in_file <> (i.app_id IN (SELECT r ->> 'app_id' FROM jsonb_array_elements(p_installations) r));
    -- One that a command restored stays.
    FOR v_installation IN SELECT i.app_id FROM gateway.installation i
        WHERE i.origin = 'config' AND i.status = 'active' AND NOT i.is_in_file AND NOT EXISTS (
            SELECT FROM gateway.installation_override o WHERE o.installation_id = i.id AND o.setting = 'revoked')
        ORDER BY i.id LOOP
        PERFORM gateway.revoke_installation(v_installation.app_id, 'config');
        RETURN QUERY SELECT 'installation', v_installation.app_id, 'revoked';
    END LOOP;
    IF NOT p_may_revoke_all AND cardinality(v_active) > 0 AND NOT EXISTS (
        SELECT FROM gateway.installation i WHERE i.app_id = ANY (v_active) AND i.status = 'active') THEN
        RAISE EXCEPTION 'the file names none of the bots that it made before, and would revoke them all: %',
            array_to_string(v_active[1:10], ', ')
            || CASE WHEN cardinality(v_active) > 10 THEN format(' and %s more', cardinality(v_active) - 10) ELSE '' END
            USING ERRCODE = 'GW003';
    END IF;

    UPDATE gateway.agent a SET is_in_file = NOT a.is_in_file WHERE a.is_in_file <> (a.id = ANY (v_named));
    RETURN QUERY
    UPDATE gateway.agent a SET archived_at = NULL, archived_by = NULL, origin = 'config'
    FROM gateway.workspace w
    WHERE w.id = a.workspace_id AND a.id = ANY (v_named) AND a.archived_by = 'config'
    RETURNING 'agent', w.name || '/' || a.name, 'restored';
    UPDATE gateway.agent a SET origin = 'config'
    FROM jsonb_to_recordset(p_agents) AS r (workspace text, name text), gateway.workspace w
    WHERE w.name = r.workspace AND a.workspace_id = w.id AND a.name = r.name AND a.origin <> 'config';
    -- An agent that a command's installation needs stays, and so does one that a command restored.
    RETURN QUERY
    UPDATE gateway.agent a SET archived_at = clock_timestamp(), archived_by = 'config'
    FROM gateway.workspace w
    WHERE w.id = a.workspace_id AND a.origin = 'config' AND a.archived_at IS NULL AND NOT a.is_in_file
        AND NOT EXISTS (SELECT FROM gateway.agent_override o WHERE o.agent_id = a.id AND o.setting = 'archived')
        AND NOT EXISTS (SELECT FROM gateway.installation i WHERE i.agent_id = a.id AND i.status = 'active')
    RETURNING 'agent', w.name || '/' || a.name, 'archived';
END $$;
