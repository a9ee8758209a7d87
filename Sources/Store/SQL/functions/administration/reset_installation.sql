-- Takes back what commands say of an installation: the file's word counts again, at once. One that the file does not
-- name any more is revoked; a secret that a command gave goes, where the file has one.
--
-- Of an installation that a command made there is no word of the file: it becomes active, and keeps its secret.
-- Returns how many words were taken back; NULL where there is no such installation. Locks: the installation's row
-- (FOR NO KEY UPDATE). Called by the command `installation reset`.
CREATE OR REPLACE FUNCTION gateway.reset_installation(p_app_id text) RETURNS int LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_known record;
    v_count int;
BEGIN
    -- No secret is read: the caller may have no right to.
    SELECT i.id, i.origin, i.is_in_file, i.sealed_key_id INTO v_known
    FROM gateway.installation i WHERE i.app_id = p_app_id FOR NO KEY UPDATE;
    IF v_known.id IS NULL THEN
        RETURN NULL;
    END IF;
    DELETE FROM gateway.installation_override o
    WHERE o.installation_id = v_known.id AND (o.setting = 'revoked' OR v_known.origin = 'config');
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_known.origin = 'config' AND v_known.sealed_key_id IS NOT NULL THEN
        UPDATE gateway.installation i SET sealed_secret = NULL, sealed_key_id = NULL WHERE i.id = v_known.id;
    END IF;
    IF v_known.origin = 'config' AND NOT v_known.is_in_file THEN
        PERFORM gateway.revoke_installation(p_app_id, 'config');
        UPDATE gateway.installation i SET revoked_by = 'config' WHERE i.id = v_known.id AND i.revoked_by <> 'config';
    ELSE
        UPDATE gateway.installation i SET status = 'active', revoked_by = NULL
        WHERE i.id = v_known.id AND i.revoked_by = 'command';
    END IF;
    RETURN v_count;
END $$;
