-- KEY of an issue's name KEY-12: what is in the workspace's name of letters and digits, at most ten of them.
CREATE OR REPLACE FUNCTION gateway.issue_key(p_workspace text, p_number bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(left(upper(regexp_replace(p_workspace, '[^A-Za-z0-9]', '', 'g')), 10), ''), 'ISSUE')
        || '-' || p_number
$$;
