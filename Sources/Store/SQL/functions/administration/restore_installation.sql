-- Makes a revoked installation active again; returns whether there was one. That takes a command's `revoke` back; one
-- that the file has revoked stays active whatever the file says, until reset_installation.
--
--   p_user   who gave the command
--
-- Called by the command `installation restore`.
CREATE OR REPLACE FUNCTION gateway.restore_installation(p_app_id text, p_user text) RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_known record;
BEGIN
    UPDATE gateway.installation i SET status = 'active', revoked_by = NULL
    WHERE i.app_id = p_app_id AND i.status = 'revoked' RETURNING i.id, i.origin, i.is_in_file INTO v_known;
    IF v_known.id IS NULL THEN
        RETURN false;
    END IF;
    IF v_known.is_in_file OR v_known.origin = 'command' THEN
        DELETE FROM gateway.installation_override o WHERE o.installation_id = v_known.id AND o.setting = 'revoked';
    ELSE
        PERFORM gateway.note_installation_override(v_known.id, 'revoked', p_user);
    END IF;
    RETURN true;
END $$;
