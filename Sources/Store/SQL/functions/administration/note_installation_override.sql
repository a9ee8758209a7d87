-- Notes that a command has said something of an installation, and who did: it counts whatever the file says.
--
--   p_user   who gave the command; at most 200 letters of it are kept
--
-- Called by revoke_installation and restore_installation, and by the command `installation set-secret`.
CREATE OR REPLACE FUNCTION gateway.note_installation_override(p_installation bigint, p_setting text, p_user text)
RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO gateway.installation_override AS o (installation_id, setting, made_by, made_at)
    VALUES (p_installation, p_setting, left(p_user, 200), clock_timestamp())
    ON CONFLICT (installation_id, setting) DO UPDATE SET made_by = EXCLUDED.made_by, made_at = EXCLUDED.made_at
$$;
