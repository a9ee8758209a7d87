-- Revokes an active installation; returns whether there was one. Its holder closes the connection, and messages that
-- still arrive are dropped as revoked_installation.
--
--   p_by     who revokes it: config (the file no longer names it) or command, whose word is noted
--            (installation_override)
--   p_user   who gave the command
--
-- Called by apply_configuration, reset_installation, and by the command `installation revoke`.
CREATE OR REPLACE FUNCTION gateway.revoke_installation(p_app_id text, p_by text, p_user text DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_id bigint;
BEGIN
    UPDATE gateway.installation i
    SET status = 'revoked', revoked_by = p_by, lease_holder = NULL, lease_expires_at = NULL,
        free_since = clock_timestamp(), wanted_by = NULL
    WHERE i.app_id = p_app_id AND i.status = 'active' RETURNING i.id INTO v_id;
    IF v_id IS NOT NULL AND p_by = 'command' THEN
        PERFORM gateway.note_installation_override(v_id, 'revoked', p_user);
    END IF;
    RETURN v_id IS NOT NULL;
END $$;
