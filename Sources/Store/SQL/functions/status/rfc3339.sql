-- A time as text for other programs: RFC 3339, in UTC, to the second. NULL for NULL.
CREATE OR REPLACE FUNCTION gateway.rfc3339(p_at timestamptz) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT to_char(p_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
$$;
