-- Returns an issue's key, such as ACME-12: the first ten letters and digits of the workspace's name, and the number.
CREATE OR REPLACE FUNCTION gateway.issue_key(p_workspace text, p_number bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(nullif(left(upper(regexp_replace(p_workspace, '[^A-Za-z0-9]', '', 'g')), 10), ''), 'ISSUE')
        || '-' || p_number;
END;
