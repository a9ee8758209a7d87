-- Releases one lease; returns false if the caller no longer holds it. The replica that asked for it may acquire it at
-- once, every other replica after a grace period (see take_leases).
CREATE OR REPLACE FUNCTION gateway.release_lease(p_installation bigint, p_generation bigint, p_holder text)
RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE gateway.installation i
    SET lease_holder = NULL, lease_expires_at = NULL, free_since = clock_timestamp()
    WHERE i.id = p_installation AND i.lease_generation = p_generation AND i.lease_holder = p_holder;
    RETURN FOUND;
END $$;
