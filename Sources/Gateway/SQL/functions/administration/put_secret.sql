-- Stores a sealed secret; the connection is made again with it.
CREATE OR REPLACE FUNCTION gateway.put_secret(p_app_id text, p_sealed bytea, p_key_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gateway.installation i SET sealed_secret = p_sealed, sealed_key_id = p_key_id WHERE i.app_id = p_app_id;
    RETURN FOUND;
END $$;
