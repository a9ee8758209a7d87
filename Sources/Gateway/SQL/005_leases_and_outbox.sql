-- Takes over the given apps' installations that nobody holds, or whose lease ran out, or whose holder is known to be
-- dead; also what the holder itself has, and asks for again because it did not get to use it. FOR UPDATE waits until every write under the old generation has ended; none can begin after it.
CREATE FUNCTION gateway.acquire_leases(p_holder text, p_dead_holders text[], p_app_ids text[], p_ttl interval)
RETURNS TABLE (installation_id bigint, app_id text, generation bigint, bot_open_id text, bot_union_id text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH free AS (
        SELECT i.id FROM gateway.installation i
        WHERE i.app_id = ANY (p_app_ids) AND i.status = 'active'
            AND (i.lease_holder IS NULL OR i.lease_holder = p_holder OR i.lease_expires_at < clock_timestamp()
                OR i.lease_holder = ANY (p_dead_holders))
        ORDER BY i.id FOR UPDATE
    )
    UPDATE gateway.installation i
    SET lease_holder = p_holder, lease_generation = i.lease_generation + 1,
        lease_expires_at = clock_timestamp() + p_ttl
    FROM free WHERE i.id = free.id
    RETURNING i.id, i.app_id, i.lease_generation, i.bot_open_id, i.bot_union_id;
END $$;

-- Renews every lease of a holder in one statement; returns what it still holds.
CREATE FUNCTION gateway.renew_leases(p_holder text, p_ttl interval)
RETURNS TABLE (installation_id bigint, generation bigint) LANGUAGE sql AS $$
    UPDATE gateway.installation i SET lease_expires_at = clock_timestamp() + p_ttl
    WHERE i.lease_holder = p_holder AND i.status = 'active'
    RETURNING i.id, i.lease_generation
$$;

-- Gives up every lease of a holder, and wakes those who wait for them.
CREATE FUNCTION gateway.release_leases(p_holder text) RETURNS void LANGUAGE sql AS $$
    UPDATE gateway.installation i SET lease_holder = NULL, lease_expires_at = NULL WHERE i.lease_holder = p_holder;
    NOTIFY gateway_installation;
$$;

-- Takes what is due to be sent: at most one row per receiver, the oldest, so that a chat's messages keep their order.
-- A row that is taken comes again after p_visibility, or at once when the lease went to another holder. Sent after the
-- lease was lost, it is sent twice with the same uuid: Lark makes one message of it.
CREATE FUNCTION gateway.take_outbox(p_holder text, p_limit int, p_visibility interval)
RETURNS TABLE (
    installation_id bigint, generation bigint, id uuid, kind text, receive_id_type text, receive_id text,
    reply_to text, in_thread boolean, payload jsonb, attempts int, locale text, workspace text, agent text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH due AS (
        SELECT o.installation_id, o.id, i.lease_generation, i.locale, i.workspace_id, i.agent_id
        FROM gateway.installation i
        JOIN gateway.outbox o ON o.installation_id = i.id
        WHERE i.lease_holder = p_holder AND o.sent_at IS NULL AND o.dead_at IS NULL
            AND (o.next_attempt_at <= clock_timestamp() OR o.taken_generation <> i.lease_generation)
            AND NOT EXISTS (
                SELECT FROM gateway.outbox e
                WHERE e.installation_id = o.installation_id AND e.receive_id = o.receive_id AND e.seq < o.seq
                    AND e.sent_at IS NULL AND e.dead_at IS NULL)
        ORDER BY o.seq LIMIT p_limit
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
        o.in_thread, o.payload, o.attempts, d.locale, w.name, a.name;
END $$;

-- Records what became of a send. NULL p_retry_in: dead where there is an error, else sent. Only while the row is still
-- taken under the same lease generation.
CREATE FUNCTION gateway.settle_outbox(
    p_installation bigint, p_generation bigint, p_id uuid, p_lark_message_id text, p_error text, p_retry_in interval
) RETURNS void LANGUAGE sql AS $$
    UPDATE gateway.outbox o
    SET sent_at = CASE WHEN p_error IS NULL THEN clock_timestamp() END,
        dead_at = CASE WHEN p_error IS NOT NULL AND p_retry_in IS NULL THEN clock_timestamp() END,
        next_attempt_at = coalesce(clock_timestamp() + p_retry_in, o.next_attempt_at),
        lark_message_id = p_lark_message_id, last_error = p_error, taken_generation = NULL
    WHERE o.installation_id = p_installation AND o.id = p_id AND o.taken_generation = p_generation
$$;
