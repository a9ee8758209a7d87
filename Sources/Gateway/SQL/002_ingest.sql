-- One statement decides a batch of inbound messages whole: see gateway.ingest_messages below.

-- Opens or extends the window of each session, unless a queued task covers its messages already. The caller holds the
-- session rows' locks, so no claim can take that task meanwhile. Returns the sessions with an open window.
CREATE FUNCTION gateway.open_windows(
    p_installations bigint[], p_sessions bigint[], p_now timestamptz, p_silence interval, p_max_wait interval
) RETURNS SETOF bigint LANGUAGE sql AS $$
    INSERT INTO gateway.pending_run AS p (installation_id, session_id, first_at, due_at)
    SELECT s.installation_id, s.session_id, p_now, p_now + p_silence
    FROM unnest(p_installations, p_sessions) AS s (installation_id, session_id)
    WHERE NOT EXISTS (
        SELECT FROM gateway.agent_task t
        WHERE t.installation_id = s.installation_id AND t.session_id = s.session_id AND t.status = 'queued')
    ON CONFLICT (installation_id, session_id) DO UPDATE
        SET due_at = least(EXCLUDED.due_at, p.first_at + p_max_wait)
    RETURNING p.session_id
$$;

-- Decides the fate of every message of a batch, in one transaction: stored, or dropped with an audit row, and who is to
-- be told. Verdicts, in the order in which they win (behaviour B1 to B22):
--
--   fenced                   this replica no longer owns the installation: nothing was written, do not ack
--   invalid_event            for another app (audited without an installation), without ids, or not to be decoded
--   revoked_installation     the installation is revoked; nothing else was looked at
--   duplicate                handled before
--   app_sender               written by a bot
--   not_addressed_in_group   nobody asked us
--   non_workspace_member     the sender's membership ended
--   unbound_user             the sender must bind first; a prompt is in the outbox, one per sender and 15 minutes
--   ingested                 stored at message_position; window_open says whether its run is still to be queued
--
-- The arrays have one element per message, in the order of arrival. p_fault: NULL for a well-formed message to be
-- looked at, else 'invalid_event' or 'app_sender'. p_addressed: true for p2p. Order of locks: installations (FOR KEY
-- SHARE), dedup keys, sessions; each in the order of its key, so that two batches can't deadlock.
CREATE FUNCTION gateway.ingest_messages(
    p_installation bigint[], p_generation bigint[], p_app_id text[], p_message_id text[], p_chat_id text[],
    p_thread_id text[], p_chat_type text[], p_sender text[], p_content text[], p_sent_at_ms bigint[],
    p_addressed boolean[], p_fault text[], p_silence interval, p_max_wait interval
) RETURNS TABLE (ordinal int, verdict text, session_id bigint, message_position bigint, window_open boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_count int := coalesce(array_length(p_installation, 1), 0);
    v_verdict text[] := array_fill(NULL::text, ARRAY[greatest(v_count, 1)]);
    v_member bigint[] := array_fill(NULL::bigint, ARRAY[greatest(v_count, 1)]);
    v_session bigint[] := array_fill(NULL::bigint, ARRAY[greatest(v_count, 1)]);
    v_position bigint[] := array_fill(NULL::bigint, ARRAY[greatest(v_count, 1)]);
    v_windows bigint[];
    v_row record;
    v_now timestamptz;
BEGIN
    -- The fence: a takeover waits here for us, or we see its generation.
    PERFORM FROM gateway.installation i WHERE i.id = ANY (p_installation) ORDER BY i.id FOR KEY SHARE;

    FOR v_row IN
        SELECT r.n, CASE
            WHEN i.id IS NULL OR i.lease_generation <> r.generation THEN 'fenced'
            WHEN r.app_id <> i.app_id THEN 'invalid_event'
            WHEN i.status = 'revoked' THEN 'revoked_installation'
            WHEN r.message_id = '' THEN 'invalid_event'
        END AS verdict
        FROM unnest(p_installation, p_generation, p_app_id, p_message_id)
            WITH ORDINALITY AS r (installation, generation, app_id, message_id, n)
        LEFT JOIN gateway.installation i ON i.id = r.installation
    LOOP
        v_verdict[v_row.n] := v_row.verdict;
    END LOOP;

    -- Dedup comes before every other question: a replay never prompts twice, never audits another reason.
    FOR v_row IN
        WITH candidate AS (
            SELECT r.n, r.installation, r.message_id,
                row_number() OVER (PARTITION BY r.installation, r.message_id ORDER BY r.n) AS occurrence
            FROM unnest(p_installation, p_message_id, v_verdict) WITH ORDINALITY AS r (installation, message_id, verdict, n)
            WHERE r.verdict IS NULL
        ), fresh AS (
            INSERT INTO gateway.inbound_dedup (installation_id, lark_message_id)
            SELECT c.installation, c.message_id FROM candidate c WHERE c.occurrence = 1 ORDER BY 1, 2
            ON CONFLICT DO NOTHING
            RETURNING installation_id, lark_message_id
        )
        -- A message outlives its dedup row, which is pruned by age.
        SELECT c.n, CASE
            WHEN c.occurrence > 1 OR f.lark_message_id IS NULL THEN 'duplicate'
            WHEN EXISTS (SELECT FROM gateway.chat_message m
                WHERE m.installation_id = c.installation AND m.lark_message_id = c.message_id) THEN 'duplicate'
        END AS verdict
        FROM candidate c
        LEFT JOIN fresh f ON f.installation_id = c.installation AND f.lark_message_id = c.message_id
    LOOP
        v_verdict[v_row.n] := v_row.verdict;
    END LOOP;

    -- A malformed message, a bot's, idle talk: dropped before anybody's identity is looked at.
    FOR n IN 1..v_count LOOP
        IF v_verdict[n] IS NULL THEN
            v_verdict[n] := CASE
                WHEN p_fault[n] IS NOT NULL THEN p_fault[n]
                WHEN NOT p_addressed[n] THEN 'not_addressed_in_group'
            END;
        END IF;
    END LOOP;

    -- Identity. With access 'open' an unknown sender becomes a member with this message.
    FOR v_row IN
        SELECT DISTINCT r.installation, r.sender, i.workspace_id
        FROM unnest(p_installation, p_sender, v_verdict) AS r (installation, sender, verdict)
        JOIN gateway.installation i ON i.id = r.installation AND i.access = 'open'
        WHERE r.verdict IS NULL
            AND NOT EXISTS (SELECT FROM gateway.member_binding b
                WHERE b.installation_id = r.installation AND b.open_id = r.sender)
            AND NOT EXISTS (SELECT FROM gateway.former_member f
                WHERE f.installation_id = r.installation AND f.open_id = r.sender)
        ORDER BY 1, 2
    LOOP
        INSERT INTO gateway.member (workspace_id, name) VALUES (v_row.workspace_id, v_row.sender)
        ON CONFLICT ON CONSTRAINT member_name_unique DO NOTHING;
        INSERT INTO gateway.member_binding (installation_id, open_id, workspace_id, member_id)
        SELECT v_row.installation, v_row.sender, m.workspace_id, m.id FROM gateway.member m
        WHERE m.workspace_id = v_row.workspace_id AND m.name = v_row.sender
        ON CONFLICT DO NOTHING;
    END LOOP;

    FOR v_row IN
        SELECT r.n, b.member_id, CASE
            WHEN b.member_id IS NOT NULL THEN NULL
            WHEN f.open_id IS NOT NULL THEN 'non_workspace_member'
            ELSE 'unbound_user'
        END AS verdict
        FROM unnest(p_installation, p_sender, v_verdict) WITH ORDINALITY AS r (installation, sender, verdict, n)
        LEFT JOIN gateway.member_binding b ON b.installation_id = r.installation AND b.open_id = r.sender
        LEFT JOIN gateway.former_member f ON f.installation_id = r.installation AND f.open_id = r.sender
        WHERE r.verdict IS NULL
    LOOP
        v_verdict[v_row.n] := v_row.verdict;
        v_member[v_row.n] := v_row.member_id;
    END LOOP;

    -- A chat's first message makes its session and binding, together.
    WITH chat AS (
        SELECT DISTINCT ON (r.installation, r.chat_id, r.thread_id) r.*
        FROM unnest(p_installation, p_chat_id, p_thread_id, p_chat_type, v_member, v_verdict)
            AS r (installation, chat_id, thread_id, chat_type, member, verdict)
        WHERE r.verdict IS NULL
            AND NOT EXISTS (SELECT FROM gateway.chat_binding b WHERE b.installation_id = r.installation
                AND b.chat_id = r.chat_id AND b.thread_id = r.thread_id)
        ORDER BY r.installation, r.chat_id, r.thread_id
    ), bound AS (
        INSERT INTO gateway.chat_binding (installation_id, chat_id, thread_id, session_id, chat_type)
        SELECT c.installation, c.chat_id, c.thread_id,
            nextval(pg_get_serial_sequence('gateway.chat_session', 'id')),
            CASE WHEN c.thread_id <> '' THEN 'topic' ELSE c.chat_type END
        FROM chat c
        ON CONFLICT (installation_id, chat_id, thread_id) DO NOTHING
        RETURNING installation_id, chat_id, thread_id, session_id
    )
    INSERT INTO gateway.chat_session (id, installation_id, member_id)
    SELECT b.session_id, b.installation_id, CASE WHEN c.chat_type = 'p2p' THEN c.member END
    FROM bound b
    JOIN chat c ON c.installation = b.installation_id AND c.chat_id = b.chat_id AND c.thread_id = b.thread_id;

    FOR v_row IN
        SELECT r.n, b.session_id AS found
        FROM unnest(p_installation, p_chat_id, p_thread_id, v_verdict)
            WITH ORDINALITY AS r (installation, chat_id, thread_id, verdict, n)
        JOIN gateway.chat_binding b
            ON b.installation_id = r.installation AND b.chat_id = r.chat_id AND b.thread_id = r.thread_id
        WHERE r.verdict IS NULL
    LOOP
        v_session[v_row.n] := v_row.found;
        v_verdict[v_row.n] := 'ingested';
    END LOOP;

    PERFORM FROM gateway.chat_session s
    JOIN (SELECT DISTINCT r.installation, r.session FROM unnest(p_installation, v_session) AS r (installation, session)
          WHERE r.session IS NOT NULL) r ON s.installation_id = r.installation AND s.id = r.session
    ORDER BY s.installation_id, s.id
    FOR NO KEY UPDATE OF s;
    v_now := clock_timestamp();

    FOR v_row IN
        WITH numbered AS (
            SELECT r.*, s.last_position + row_number() OVER (PARTITION BY r.installation, r.session ORDER BY r.n) AS position
            FROM unnest(p_installation, v_session, p_sender, p_content, p_message_id, p_sent_at_ms)
                WITH ORDINALITY AS r (installation, session, sender, content, message_id, sent_at_ms, n)
            JOIN gateway.chat_session s ON s.installation_id = r.installation AND s.id = r.session
        ), stored AS (
            INSERT INTO gateway.chat_message
                (installation_id, session_id, position, role, sender, content, lark_message_id, sent_at, created_at)
            SELECT m.installation, m.session, m.position, 'user', m.sender, m.content, m.message_id,
                to_timestamp(m.sent_at_ms / 1000.0), v_now
            FROM numbered m
        ), moved AS (
            UPDATE gateway.chat_session s
            SET last_position = m.last, last_user_position = m.last, updated_at = v_now
            FROM (SELECT installation, session, max(position) AS last FROM numbered GROUP BY 1, 2) m
            WHERE s.installation_id = m.installation AND s.id = m.session
        )
        SELECT m.n, m.position FROM numbered m
    LOOP
        v_position[v_row.n] := v_row.position;
    END LOOP;

    SELECT array_agg(w) INTO v_windows FROM gateway.open_windows(
        (SELECT array_agg(r.installation ORDER BY r.installation, r.session) FROM (
            SELECT DISTINCT x.installation, x.session FROM unnest(p_installation, v_session) AS x (installation, session)
            WHERE x.session IS NOT NULL) r),
        (SELECT array_agg(r.session ORDER BY r.installation, r.session) FROM (
            SELECT DISTINCT x.installation, x.session FROM unnest(p_installation, v_session) AS x (installation, session)
            WHERE x.session IS NOT NULL) r),
        v_now, p_silence, p_max_wait) AS w;

    INSERT INTO gateway.inbound_audit (installation_id, app_id, lark_message_id, chat_id, sender, reason)
    SELECT CASE WHEN r.app_id = i.app_id THEN r.installation END, r.app_id, nullif(r.message_id, ''),
        nullif(r.chat_id, ''), nullif(r.sender, ''), r.verdict
    FROM unnest(p_installation, p_app_id, p_message_id, p_chat_id, p_sender, v_verdict)
        WITH ORDINALITY AS r (installation, app_id, message_id, chat_id, sender, verdict, n)
    JOIN gateway.installation i ON i.id = r.installation
    WHERE r.verdict NOT IN ('ingested', 'fenced')
    ORDER BY r.n;

    -- A stranger is asked to bind, privately, also when they wrote in a group.
    INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
    SELECT r.installation, 'prompt', 'open_id', r.sender, '{"notice": "needs_binding"}'
    FROM (SELECT DISTINCT x.installation, x.sender
          FROM unnest(p_installation, p_sender, v_verdict) AS x (installation, sender, verdict)
          WHERE x.verdict = 'unbound_user') r
    WHERE NOT EXISTS (
        SELECT FROM gateway.outbox o
        WHERE o.installation_id = r.installation AND o.receive_id = r.sender AND o.kind = 'prompt'
            AND o.created_at > now() - interval '15 minutes' AND o.dead_at IS NULL);

    WITH told AS (
        UPDATE gateway.former_member f SET notified_at = now()
        FROM (SELECT DISTINCT x.installation, x.sender
              FROM unnest(p_installation, p_sender, v_verdict) AS x (installation, sender, verdict)
              WHERE x.verdict = 'non_workspace_member') r
        WHERE f.installation_id = r.installation AND f.open_id = r.sender AND f.notified_at IS NULL
        RETURNING f.installation_id, f.open_id
    )
    INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
    SELECT t.installation_id, 'notice', 'open_id', t.open_id, '{"notice": "non_workspace_member"}' FROM told t;

    RETURN QUERY
    SELECT n::int, v_verdict[n], v_session[n], v_position[n], coalesce(v_session[n] = ANY (v_windows), false)
    FROM generate_series(1, v_count) AS n;
END $$;
