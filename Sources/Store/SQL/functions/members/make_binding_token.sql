-- Stores the hash of a prompt's code for 15 minutes, and the hash of its link's secret where it has one.
--
-- Called by the gateway before it sends the prompt.
CREATE OR REPLACE FUNCTION gateway.make_binding_token(
    p_installation bigint, p_code_sha256 bytea, p_link_sha256 bytea, p_open_id text
) RETURNS void LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    -- Kept for a day, so that an old code is answered with used or expired instead of unknown.
    DELETE FROM gateway.binding_token t WHERE t.expires_at < clock_timestamp() - interval '1 day';
    INSERT INTO gateway.binding_token (installation_id, token_sha256, link_sha256, open_id, expires_at)
    VALUES (p_installation, p_code_sha256, p_link_sha256, p_open_id, clock_timestamp() + interval '15 minutes')
$$;
