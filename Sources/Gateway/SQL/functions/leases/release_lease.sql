-- Gives up one lease, if it is still the caller's; who wants it takes it, and everybody else after a while.
CREATE OR REPLACE FUNCTION gateway.release_lease(p_installation bigint, p_generation bigint, p_holder text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gateway.installation i
    SET lease_holder = NULL, lease_expires_at = NULL, free_since = clock_timestamp()
    WHERE i.id = p_installation AND i.lease_generation = p_generation AND i.lease_holder = p_holder;
    RETURN FOUND;
END $$;
