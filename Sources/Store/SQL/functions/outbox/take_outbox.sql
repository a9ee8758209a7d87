-- Claims up to p_limit rows for sending: of each receiver the oldest unsent row, when it is due. Installations take
-- turns (the oldest of each, then the second of each), so that a busy bot does not keep the others waiting.
--
--   p_visibility   visibility timeout: the row is not claimed again before it has passed or the lease has changed hands
--   p_held         installations whose app is throttled now: they are left out
--
-- Locks: outbox rows (FOR UPDATE SKIP LOCKED). Called by the gateway's sender. Planner settings: see ingest_messages.
CREATE OR REPLACE FUNCTION gateway.take_outbox(
    p_holder text, p_limit int, p_visibility interval, p_held bigint[] DEFAULT '{}'
) RETURNS TABLE (
    installation_id bigint, generation bigint, id uuid, kind text, receive_id_type text, receive_id text,
    reply_to text, in_thread boolean, payload jsonb, attempts int, locale text, workspace text, agent text,
    session_id bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
BEGIN
    RETURN QUERY
    WITH busy AS MATERIALIZED (
        SELECT i.id, i.lease_generation, i.locale, i.workspace_id, i.agent_id
        FROM gateway.installation i
        WHERE i.lease_holder = p_holder AND i.id <> ALL (p_held)
            -- Not EXISTS: joined, it would look at everything that waits.
            AND (SELECT true FROM gateway.outbox o
                WHERE o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL LIMIT 1) IS NOT NULL
    ), share AS MATERIALIZED (
        -- Twice an equal share, so that p_limit is used up even if some installations have less.
        SELECT least(p_limit, greatest(1, ceil(2.0 * p_limit / greatest(1, count(*)))::int)) AS size FROM busy
    ), head AS MATERIALIZED (
        SELECT i.id AS installation_id, o.id, i.lease_generation, i.locale, i.workspace_id, i.agent_id
        FROM busy i
        CROSS JOIN LATERAL (
            SELECT o.id, o.seq FROM gateway.outbox o
            WHERE o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL
                AND (o.next_attempt_at <= v_now OR o.taken_generation <> i.lease_generation)
                -- The first of its receiver: one look into outbox_unsent.
                AND o.seq = (SELECT e.seq FROM gateway.outbox e
                    WHERE e.installation_id = o.installation_id AND e.receive_id = o.receive_id
                        AND e.sent_at IS NULL AND e.dead_at IS NULL
                    ORDER BY e.installation_id, e.receive_id, e.seq LIMIT 1)
            ORDER BY o.installation_id, o.seq LIMIT (SELECT s.size FROM share s)) o
        ORDER BY row_number() OVER (PARTITION BY i.id ORDER BY o.seq), o.seq LIMIT p_limit
    ), due AS (
        SELECT h.* FROM head h
        JOIN gateway.outbox o ON o.installation_id = h.installation_id AND o.id = h.id
        -- Written as coalesce(…) to keep the planner off the partial indexes: use the primary key here.
        WHERE coalesce(o.sent_at, o.dead_at) IS NULL
            AND (o.next_attempt_at <= v_now OR o.taken_generation <> h.lease_generation)
        FOR UPDATE OF o SKIP LOCKED
    )
    UPDATE gateway.outbox o
    SET attempts = o.attempts + 1, taken_generation = d.lease_generation,
        next_attempt_at = clock_timestamp() + p_visibility
    FROM due d
    JOIN gateway.workspace w ON w.id = d.workspace_id
    JOIN gateway.agent a ON a.id = d.agent_id
    WHERE o.installation_id = d.installation_id AND o.id = d.id
    RETURNING o.installation_id, d.lease_generation, o.id, o.kind, o.receive_id_type, o.receive_id, o.reply_to,
        o.in_thread, o.payload, o.attempts, d.locale, w.name, a.name, o.session_id;
END $$;
