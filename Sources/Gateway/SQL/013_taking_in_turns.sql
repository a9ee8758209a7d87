-- Two replicas that looked at the same moment chose the same free installations: the second waited for the first, found
-- them taken, and came away with nothing until its next look, though others were free. They choose one after another now;
-- renewals and releases wait for nobody.
ALTER FUNCTION gateway.take_leases(text, text[], text[], text[], bigint[], interval, interval)
    RENAME TO choose_leases;
CREATE FUNCTION gateway.take_leases(
    p_holder text, p_dead_holders text[], p_app_ids text[], p_key_ids text[], p_used bigint[], p_ttl interval,
    p_grace interval
) RETURNS TABLE (
    installation_id bigint, app_id text, generation bigint, revision bigint, domain text, sealed_secret bytea,
    sealed_key_id text, bot_open_id text, bot_union_id text
) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7810759452391891045);
    RETURN QUERY
    SELECT * FROM gateway.choose_leases(p_holder, p_dead_holders, p_app_ids, p_key_ids, p_used, p_ttl, p_grace);
END $$;
