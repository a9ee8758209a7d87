-- Returns the state of a link: open, used, expired, blocked (too many wrong codes), or revoked (the bot is not active).
-- Called by find_link and redeem_link.
CREATE OR REPLACE FUNCTION gateway.link_state(p_token gateway.binding_token) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN p_token.used_at IS NOT NULL THEN 'used'
        WHEN p_token.expires_at < clock_timestamp() THEN 'expired'
        WHEN p_token.wrong_codes >= gateway.most_wrong_codes() THEN 'blocked'
        WHEN NOT EXISTS (SELECT FROM gateway.installation i
            WHERE i.id = p_token.installation_id AND i.status = 'active') THEN 'revoked'
        ELSE 'open' END
$$;
