-- What commands say of an agent that the file has made, for lists: a JSON array of
-- {setting, said, file, hides, by, since, age_ms}, with what the command and the file say, and whether that differs.
-- A runtime of null is offline; since is RFC 3339.
CREATE OR REPLACE FUNCTION gateway.agent_overrides(p_agent bigint) RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('setting', o.setting, 'said', v.said, 'file', v.file,
        'hides', v.said IS DISTINCT FROM v.file, 'by', o.made_by,
        'since', gateway.rfc3339(o.made_at),
        'age_ms', floor(extract(epoch FROM clock_timestamp() - o.made_at) * 1000)::bigint) ORDER BY o.setting), '[]')
    FROM gateway.agent a
    JOIN gateway.agent_override o ON o.agent_id = a.id
    CROSS JOIN LATERAL (
        SELECT CASE o.setting WHEN 'runtime' THEN a.runtime_id
                WHEN 'may_mention_all' THEN CASE WHEN a.may_mention_all THEN 'yes' ELSE 'no' END
                ELSE CASE WHEN a.archived_at IS NOT NULL THEN 'yes' ELSE 'no' END END AS said,
            CASE o.setting WHEN 'runtime' THEN a.configured_runtime_id
                WHEN 'may_mention_all' THEN CASE WHEN a.configured_may_mention_all THEN 'yes' ELSE 'no' END
                ELSE CASE WHEN a.is_in_file THEN 'no' ELSE 'yes' END END AS file
    ) v
    WHERE a.id = p_agent AND a.origin = 'config'
$$;
