-- Returns the sealed secret of an installation; NULL where there is none, and where the caller may not read it.
-- Called by find_code, and by the command `installation set-secret`.
CREATE OR REPLACE FUNCTION gateway.readable_secret(p_installation bigint) RETURNS bytea LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT has_column_privilege('gateway.installation', 'sealed_secret', 'SELECT') THEN RETURN NULL; END IF;
    RETURN (SELECT i.sealed_secret FROM gateway.installation i WHERE i.id = p_installation);
END $$;
