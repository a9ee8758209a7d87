-- What commands say of an installation that the file has made, for lists: a JSON array as that of agent_overrides.
CREATE OR REPLACE FUNCTION gateway.installation_overrides(p_installation bigint) RETURNS jsonb LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('setting', o.setting, 'said', v.said, 'file', v.file,
        'hides', v.said IS DISTINCT FROM v.file, 'by', o.made_by,
        'since', gateway.rfc3339(o.made_at),
        'age_ms', floor(extract(epoch FROM clock_timestamp() - o.made_at) * 1000)::bigint) ORDER BY o.setting), '[]')
    FROM gateway.installation i
    JOIN gateway.installation_override o ON o.installation_id = i.id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN o.setting = 'app_secret' THEN 'a secret in the database'
                WHEN i.status = 'revoked' THEN 'yes' ELSE 'no' END AS said,
            CASE WHEN o.setting = 'app_secret' THEN CASE WHEN i.is_in_file THEN 'a secret in the file' ELSE 'none' END
                WHEN i.is_in_file THEN 'no' ELSE 'yes' END AS file
    ) v
    WHERE i.id = p_installation AND i.origin = 'config'
$$;
