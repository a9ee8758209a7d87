-- Acquires free installations whose credentials the holder has (it knows the app's secret, or a key that the secret is
-- sealed with; a sealed secret counts, whatever the file says): up to its fair share, plus any left free for longer
-- than p_grace, plus its own leases that it does not use. Free means: no holder, an expired lease, or a holder known to
-- be dead; unless another live replica has requested it, for p_grace at most. A replica that has less than its share
-- then asks those that have more to hand over. Returns the acquired leases.
--
--   p_dead_holders         holders known to be dead
--   p_app_ids, p_key_ids   apps and sealing keys whose secrets the replica can use
--   p_used                 installations that the replica holds and uses
--
-- Locks: an advisory lock first, so that replicas that scan at the same moment choose one after another, not the same
-- installations; renewals and releases don't take it. Then the chosen installations in key order (FOR UPDATE, which
-- waits until every write under the old generation has ended; none can begin after it). Then, to request installations
-- of other holders or to withdraw requests, theirs (FOR NO KEY UPDATE SKIP LOCKED). Called by the gateway.
CREATE OR REPLACE FUNCTION gateway.take_leases(
    p_holder text, p_dead_holders text[], p_app_ids text[], p_key_ids text[], p_used bigint[], p_ttl interval,
    p_grace interval
) RETURNS TABLE (
    installation_id bigint, app_id text, generation bigint, revision bigint, domain text, sealed_secret bytea,
    sealed_key_id text, bot_open_id text, bot_union_id text
) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz;
    v_active bigint;
    v_replicas bigint;
    v_held bigint;
    v_share bigint;
    v_fair bigint;
    v_wishes bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(7810759452391891045);
    -- Read after the lock: the wait for it can be long.
    v_now := clock_timestamp();
    INSERT INTO gateway.replica AS r (holder, expires_at) VALUES (p_holder, v_now + p_ttl)
    ON CONFLICT (holder) DO UPDATE SET expires_at = EXCLUDED.expires_at;
    DELETE FROM gateway.replica r WHERE r.expires_at < v_now - interval '1 hour' OR r.holder = ANY (p_dead_holders);
    SELECT count(*) INTO v_replicas FROM gateway.replica r WHERE r.expires_at > v_now;
    SELECT count(*), count(*) FILTER (WHERE i.lease_holder = p_holder AND i.id = ANY (p_used))
        INTO v_active, v_held FROM gateway.installation i WHERE i.status = 'active';
    v_share := ceil(v_active::numeric / v_replicas);

    RETURN QUERY
    WITH candidate AS (
        SELECT i.id, i.lease_holder = p_holder AS is_own,
            -- NULL if no live replica has requested it.
            CASE WHEN r.holder IS NOT NULL THEN i.wanted_by = p_holder END AS is_promised,
            CASE WHEN i.lease_holder IS NULL THEN i.free_since
                 WHEN i.lease_expires_at < v_now THEN i.lease_expires_at ELSE v_now END AS since
        FROM gateway.installation i
        LEFT JOIN gateway.replica r ON r.holder = i.wanted_by AND r.expires_at > v_now
        WHERE i.status = 'active'
            AND (i.app_id = ANY (p_app_ids) AND i.sealed_secret IS NULL OR i.sealed_key_id = ANY (p_key_ids))
            AND i.id <> ALL (p_used)
            AND (i.lease_holder IS NULL OR i.lease_holder = p_holder OR i.lease_expires_at < v_now
                OR i.lease_holder = ANY (p_dead_holders))
    ), chosen AS (
        SELECT c.id FROM (
            SELECT c.*, row_number() OVER (ORDER BY c.is_own IS TRUE DESC, c.is_promised IS TRUE DESC, c.id) AS n
            FROM candidate c
            WHERE c.is_own IS TRUE OR c.is_promised IS NOT FALSE OR c.since < v_now - p_grace
        ) c
        WHERE c.n <= v_share - v_held OR c.is_own IS TRUE OR c.since < v_now - p_grace
    ), locked AS (
        SELECT i.id FROM gateway.installation i JOIN chosen c ON c.id = i.id
        WHERE i.status = 'active' AND (i.lease_holder IS NULL OR i.lease_holder = p_holder
            OR i.lease_expires_at < v_now OR i.lease_holder = ANY (p_dead_holders))
        ORDER BY i.id FOR UPDATE OF i
    )
    UPDATE gateway.installation i
    SET lease_holder = p_holder, lease_generation = i.lease_generation + 1,
        lease_expires_at = clock_timestamp() + p_ttl, lease_renewed_at = clock_timestamp(), wanted_by = NULL
    FROM locked l WHERE i.id = l.id
    RETURNING i.id, i.app_id, i.lease_generation, i.revision, i.domain, i.sealed_secret, i.sealed_key_id, i.bot_open_id,
        i.bot_union_id;

    -- Rounded down: a replica at its fair share requests nothing, so installations don't bounce between replicas.
    v_fair := v_active / v_replicas;
    SELECT count(*) FILTER (WHERE i.lease_holder = p_holder),
        count(*) FILTER (WHERE i.lease_holder <> p_holder AND i.wanted_by = p_holder)
        INTO v_held, v_wishes FROM gateway.installation i WHERE i.status = 'active';
    IF v_held >= v_fair THEN
        -- SKIP LOCKED: rows of other holders, out of key order. A request that is skipped is withdrawn by a later scan.
        WITH wanted AS (
            SELECT i.id FROM gateway.installation i WHERE i.wanted_by = p_holder FOR NO KEY UPDATE SKIP LOCKED
        )
        UPDATE gateway.installation i SET wanted_by = NULL FROM wanted w WHERE i.id = w.id;
    ELSIF v_held + v_wishes < v_fair THEN
        WITH loaded AS (
            SELECT i.lease_holder, count(*) - v_share - count(*) FILTER (WHERE r.holder IS NOT NULL) AS excess
            FROM gateway.installation i
            LEFT JOIN gateway.replica r ON r.holder = i.wanted_by AND r.expires_at > v_now
            WHERE i.status = 'active' AND i.lease_holder <> p_holder AND i.lease_expires_at > v_now
            GROUP BY i.lease_holder
        ), offered AS (
            SELECT i.id, l.excess, row_number() OVER (PARTITION BY i.lease_holder ORDER BY i.id) AS n
            FROM loaded l
            JOIN gateway.installation i ON i.lease_holder = l.lease_holder
            LEFT JOIN gateway.replica r ON r.holder = i.wanted_by AND r.expires_at > v_now
            WHERE l.excess > 0 AND i.status = 'active' AND r.holder IS NULL
                AND (i.app_id = ANY (p_app_ids) AND i.sealed_secret IS NULL OR i.sealed_key_id = ANY (p_key_ids))
        ), chosen AS (
            SELECT i.id FROM gateway.installation i
            JOIN (SELECT o.id FROM offered o WHERE o.n <= o.excess ORDER BY o.n, o.id
                  LIMIT v_fair - v_held - v_wishes) o ON o.id = i.id
            FOR NO KEY UPDATE OF i SKIP LOCKED
        )
        UPDATE gateway.installation i SET wanted_by = p_holder FROM chosen c WHERE i.id = c.id;
    END IF;
END $$;
