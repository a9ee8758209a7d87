-- Returns what the database keeps of a claim's token; NULL for none. Who reads the table, or a dump, has no token.
-- Called by the worker functions.
CREATE OR REPLACE FUNCTION gateway.claim_key(p_token text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT sha256(convert_to(p_token, 'UTF8'));
END;
