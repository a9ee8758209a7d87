-- Ends an installation: its connection is closed, and what still comes is dropped as revoked_installation.
CREATE OR REPLACE FUNCTION gateway.revoke_installation(p_app_id text, p_by text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gateway.installation i
    SET status = 'revoked', revoked_by = p_by, lease_holder = NULL, lease_expires_at = NULL,
        free_since = clock_timestamp(), wanted_by = NULL
    WHERE i.app_id = p_app_id AND i.status = 'active';
    RETURN FOUND;
END $$;
