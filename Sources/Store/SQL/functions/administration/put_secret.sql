-- Stores a sealed app secret and the id of the key that it is sealed with; returns whether the app is installed. The
-- secret must be sealed for the domain of the row: for another one it does not open. The holder of the lease connects
-- again with the new secret. Called by the command `installation add`, after put_installation.
CREATE OR REPLACE FUNCTION gateway.put_secret(p_app_id text, p_sealed bytea, p_key_id text)
RETURNS boolean LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE gateway.installation i SET sealed_secret = p_sealed, sealed_key_id = p_key_id WHERE i.app_id = p_app_id;
    RETURN FOUND;
END $$;
