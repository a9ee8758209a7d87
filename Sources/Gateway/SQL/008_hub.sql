-- Many bots on many replicas: who is alive, who wants what, what changed. The functions that older replicas call stay.

-- A gateway process that says, with every renewal of its leases, that it lives.
CREATE TABLE gateway.replica (
    holder text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

ALTER TABLE gateway.installation
    -- Which key the secret is sealed with.
    ADD sealed_key_id text,
    -- Grows with every change that its connection has to know of.
    ADD revision bigint NOT NULL DEFAULT 0,
    -- The replica that has less than its share and asks the holder for this one.
    ADD wanted_by text,
    -- Since when nobody holds it.
    ADD free_since timestamptz NOT NULL DEFAULT now(),
    -- What its holder says about its connection.
    ADD connection_state text CONSTRAINT installation_connection_state
        CHECK (connection_state IN ('connecting', 'connected', 'backing_off', 'refused', 'draining')),
    ADD connection_reason text,
    ADD connection_since timestamptz,
    ADD connection_retry_at timestamptz;

-- What a replica must look at again is counted and announced, whoever changes it, and however.
CREATE FUNCTION gateway.count_revision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    RETURN NEW;
END $$;
CREATE TRIGGER installation_changed BEFORE UPDATE OF app_id, domain, sealed_secret, status ON gateway.installation
    FOR EACH ROW WHEN ((OLD.app_id, OLD.domain, OLD.sealed_secret, OLD.status)
        IS DISTINCT FROM (NEW.app_id, NEW.domain, NEW.sealed_secret, NEW.status))
    EXECUTE FUNCTION gateway.count_revision();

CREATE FUNCTION gateway.announce_installation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY gateway_installation;
    RETURN NULL;
END $$;
CREATE TRIGGER installation_added AFTER INSERT ON gateway.installation
    FOR EACH ROW EXECUTE FUNCTION gateway.announce_installation();
CREATE TRIGGER installation_announced AFTER UPDATE ON gateway.installation
    FOR EACH ROW WHEN (OLD.revision <> NEW.revision
        OR (NEW.wanted_by IS NOT NULL AND OLD.wanted_by IS DISTINCT FROM NEW.wanted_by)
        OR (NEW.lease_holder IS NULL AND (OLD.lease_holder, OLD.wanted_by) IS DISTINCT FROM (NULL, NEW.wanted_by)))
    EXECUTE FUNCTION gateway.announce_installation();

-- Renews every lease of a holder in one statement, and says that it lives. Returns what it still holds.
CREATE FUNCTION gateway.hold_leases(p_holder text, p_ttl interval)
RETURNS TABLE (installation_id bigint, generation bigint, revision bigint, is_wanted boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO gateway.replica AS r (holder, expires_at) VALUES (p_holder, clock_timestamp() + p_ttl)
    ON CONFLICT (holder) DO UPDATE SET expires_at = EXCLUDED.expires_at;
    RETURN QUERY
    -- Every statement that changes many installations locks them in this order, so that no two wait for one another.
    WITH locked AS (
        SELECT i.id FROM gateway.installation i WHERE i.lease_holder = p_holder AND i.status = 'active'
        ORDER BY i.id FOR NO KEY UPDATE
    )
    UPDATE gateway.installation i SET lease_expires_at = clock_timestamp() + p_ttl
    FROM locked l WHERE i.id = l.id AND i.lease_holder = p_holder AND i.status = 'active'
    RETURNING i.id, i.lease_generation, i.revision, i.wanted_by <> p_holder AND EXISTS (
        SELECT FROM gateway.replica r WHERE r.holder = i.wanted_by AND r.expires_at > clock_timestamp());
END $$;

-- What a holder still holds, looked at between two renewals.
CREATE FUNCTION gateway.check_leases(p_holder text)
RETURNS TABLE (installation_id bigint, generation bigint, revision bigint, is_wanted boolean) LANGUAGE sql STABLE AS $$
    SELECT i.id, i.lease_generation, i.revision, i.wanted_by <> p_holder AND r.expires_at > clock_timestamp()
    FROM gateway.installation i LEFT JOIN gateway.replica r ON r.holder = i.wanted_by
    WHERE i.lease_holder = p_holder AND i.status = 'active'
$$;

-- Takes over what is free of what the holder can connect (it knows the app's secret, or a key that the secret is sealed
-- with): up to its share, and what nobody else took for p_grace; also what it holds already and does not use. Free is
-- what nobody holds, or whose lease ran out, or whose holder is known to be dead, unless another replica is about to take
-- it. FOR UPDATE waits until every write under the old generation has ended; none can begin after it.
--
-- A replica that has less than its share then asks those that have more than theirs: they hand over what it wants.
-- Returns what it took.
CREATE FUNCTION gateway.take_leases(
    p_holder text, p_dead_holders text[], p_app_ids text[], p_key_ids text[], p_used bigint[], p_ttl interval,
    p_grace interval
) RETURNS TABLE (
    installation_id bigint, app_id text, generation bigint, revision bigint, domain text, sealed_secret bytea,
    sealed_key_id text, bot_open_id text, bot_union_id text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_now timestamptz := clock_timestamp();
    v_active bigint;
    v_replicas bigint;
    v_held bigint;
    v_share bigint;
    v_fair bigint;
    v_wishes bigint;
BEGIN
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
            -- NULL: to nobody who lives.
            CASE WHEN r.holder IS NOT NULL THEN i.wanted_by = p_holder END AS is_promised,
            CASE WHEN i.lease_holder IS NULL THEN i.free_since
                 WHEN i.lease_expires_at < v_now THEN i.lease_expires_at ELSE v_now END AS since
        FROM gateway.installation i
        LEFT JOIN gateway.replica r ON r.holder = i.wanted_by AND r.expires_at > v_now
        WHERE (i.app_id = ANY (p_app_ids) OR i.sealed_key_id = ANY (p_key_ids)) AND i.status = 'active'
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
        lease_expires_at = clock_timestamp() + p_ttl, wanted_by = NULL,
        connection_state = 'connecting', connection_reason = NULL, connection_since = v_now, connection_retry_at = NULL
    FROM locked l WHERE i.id = l.id
    RETURNING i.id, i.app_id, i.lease_generation, i.revision, i.domain, i.sealed_secret, i.sealed_key_id, i.bot_open_id,
        i.bot_union_id;

    -- The share rounded down: who has that many wishes for nothing any more, so nothing goes to and fro.
    v_fair := v_active / v_replicas;
    SELECT count(*) FILTER (WHERE i.lease_holder = p_holder),
        count(*) FILTER (WHERE i.lease_holder <> p_holder AND i.wanted_by = p_holder)
        INTO v_held, v_wishes FROM gateway.installation i WHERE i.status = 'active';
    IF v_held >= v_fair THEN
        UPDATE gateway.installation i SET wanted_by = NULL WHERE i.wanted_by = p_holder;
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
                AND (i.app_id = ANY (p_app_ids) OR i.sealed_key_id = ANY (p_key_ids))
        ), chosen AS (
            SELECT i.id FROM gateway.installation i
            JOIN (SELECT o.id FROM offered o WHERE o.n <= o.excess ORDER BY o.n, o.id LIMIT v_fair - v_held - v_wishes) o ON o.id = i.id
            FOR NO KEY UPDATE OF i SKIP LOCKED
        )
        UPDATE gateway.installation i SET wanted_by = p_holder FROM chosen c WHERE i.id = c.id;
    END IF;
END $$;

-- Gives up one lease, if it is still the caller's; who wants it takes it, and everybody else after a while.
CREATE FUNCTION gateway.release_lease(p_installation bigint, p_generation bigint, p_holder text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE gateway.installation i
    SET lease_holder = NULL, lease_expires_at = NULL, free_since = clock_timestamp(), connection_state = NULL,
        connection_reason = NULL, connection_since = NULL, connection_retry_at = NULL
    WHERE i.id = p_installation AND i.lease_generation = p_generation AND i.lease_holder = p_holder;
    RETURN FOUND;
END $$;

-- Gives up every lease of a holder that stops, and wakes those who wait for them.
CREATE OR REPLACE FUNCTION gateway.release_leases(p_holder text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM gateway.replica r WHERE r.holder = p_holder;
    WITH locked AS (
        SELECT i.id FROM gateway.installation i WHERE i.lease_holder = p_holder ORDER BY i.id FOR NO KEY UPDATE
    )
    UPDATE gateway.installation i
    SET lease_holder = NULL, lease_expires_at = NULL, free_since = clock_timestamp(), connection_state = NULL,
        connection_reason = NULL, connection_since = NULL, connection_retry_at = NULL
    FROM locked l WHERE i.id = l.id AND i.lease_holder = p_holder;
    NOTIFY gateway_installation;
$$;

-- What a holder says about its connections, for `status`. Said for a lease that it lost, it is not written.
CREATE FUNCTION gateway.record_connections(
    p_installation bigint[], p_generation bigint[], p_state text[], p_reason text[], p_age_ms bigint[],
    p_retry_in_ms bigint[]
) RETURNS void LANGUAGE sql AS $$
    WITH locked AS (
        SELECT i.id FROM gateway.installation i WHERE i.id = ANY (p_installation) ORDER BY i.id FOR NO KEY UPDATE
    )
    UPDATE gateway.installation i
    SET connection_state = r.state, connection_reason = r.reason,
        connection_since = clock_timestamp() - r.age_ms * interval '1 millisecond',
        connection_retry_at = clock_timestamp() + r.retry_in_ms * interval '1 millisecond'
    FROM unnest(p_installation, p_generation, p_state, p_reason, p_age_ms, p_retry_in_ms)
            AS r (installation, generation, state, reason, age_ms, retry_in_ms)
        JOIN locked l ON l.id = r.installation
    WHERE i.id = r.installation AND i.lease_generation = r.generation AND i.lease_holder IS NOT NULL
$$;

-- What was dropped is audited, and who has to know is told: one prompt per stranger and 15 minutes, privately, also
-- when they wrote in a group; one notice per ended membership.
CREATE OR REPLACE FUNCTION gateway.record_drops(
    p_installation bigint[], p_app_id text[], p_message_id text[], p_chat_id text[], p_sender text[], p_verdict text[]
) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    INSERT INTO gateway.inbound_audit (installation_id, app_id, lark_message_id, chat_id, sender, reason)
    SELECT CASE WHEN r.app_id = i.app_id THEN r.installation END, r.app_id, nullif(r.message_id, ''),
        nullif(r.chat_id, ''), nullif(r.sender, ''), r.verdict
    FROM unnest(p_installation, p_app_id, p_message_id, p_chat_id, p_sender, p_verdict)
        WITH ORDINALITY AS r (installation, app_id, message_id, chat_id, sender, verdict, n)
    JOIN gateway.installation i ON i.id = r.installation
    WHERE r.verdict NOT IN ('fenced', 'busy')
    ORDER BY r.n;

    INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
    SELECT r.installation, 'prompt', 'open_id', r.sender, '{"notice": "needs_binding"}'
    FROM (SELECT DISTINCT x.installation, x.sender
          FROM unnest(p_installation, p_sender, p_verdict) AS x (installation, sender, verdict)
          WHERE x.verdict = 'unbound_user') r
    -- A subquery of its own for each: joined, it would look at the prompts of all installations.
    WHERE (SELECT true FROM gateway.outbox o
        WHERE o.installation_id = r.installation AND o.receive_id = r.sender AND o.kind = 'prompt'
            AND o.created_at > now() - interval '15 minutes' AND o.dead_at IS NULL LIMIT 1) IS NULL;

    WITH told AS (
        UPDATE gateway.former_member f SET notified_at = now()
        FROM (SELECT DISTINCT x.installation, x.sender
              FROM unnest(p_installation, p_sender, p_verdict) AS x (installation, sender, verdict)
              WHERE x.verdict = 'non_workspace_member') r
        WHERE f.installation_id = r.installation AND f.open_id = r.sender AND f.notified_at IS NULL
        RETURNING f.installation_id, f.open_id
    )
    INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
    SELECT t.installation_id, 'notice', 'open_id', t.open_id, '{"notice": "non_workspace_member"}' FROM told t;
END $$;
