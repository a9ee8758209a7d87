-- The hot way in few set-based steps: measured, the loops of migration 2 and 3 cost more than the rows they wrote.
--
-- A window's deadline is no longer written with every message: the message moves chat_session.last_user_at, which is
-- written anyway, and the deadline follows from it. pending_run is written when a window opens, and not again.

ALTER TABLE gateway.chat_session ADD COLUMN last_user_at timestamptz;
-- Every message rewrites its session: room for the new row on the page of the old one.
ALTER TABLE gateway.chat_session SET (fillfactor = 70);
-- Pruning walks the heap.
DROP INDEX gateway.inbound_dedup_by_age;

-- Three partial indexes stood on queued tasks. To a planner that sees an empty table they are all alike, and a plan that
-- it made then looked for the task of one session among all the queued ones. Now only who asks by runtime, and says so
-- with runtime_id <> '', can be given the queue's own.
DROP INDEX gateway.agent_task_queue;
DROP INDEX gateway.agent_task_queue_by_installation;
-- They are in the order of created_at: in the order of id the planner also finds tasks along the primary key, past all
-- that were ever finished.
CREATE INDEX agent_task_queue ON gateway.agent_task (runtime_id, created_at, id)
    WHERE status = 'queued' AND runtime_id <> '';
CREATE INDEX agent_task_queue_by_installation ON gateway.agent_task (installation_id, runtime_id, created_at, id)
    WHERE status = 'queued' AND runtime_id <> '';

-- A replica renews all its leases in one statement, however many installations there are.
CREATE INDEX installation_by_holder ON gateway.installation (lease_holder);

-- When a window closes: `silence` after its last message, and at most `max_wait` after its first. One that no message
-- has extended closes when it was opened for.
CREATE FUNCTION gateway.window_due(
    p_first_at timestamptz, p_due_at timestamptz, p_last_user_at timestamptz, p_silence interval, p_max_wait interval
) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_last_user_at > p_first_at THEN least(p_last_user_at + p_silence, p_first_at + p_max_wait)
        ELSE p_due_at END
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
--   busy                     with p_skips_busy: somebody holds the session's row; nothing of the message was written, it
--                            is to come again
--   ingested                 stored at message_position; window_open says whether its run is still to be queued
--
-- Whoever waits for a lock for 800 ms gives up (SQLSTATE 55P03); with p_skips_busy the neighbours do not wait for the
-- message of a session that is held.
--
-- The arrays have one element per message, in the order of arrival. p_fault: NULL for a well-formed message to be
-- looked at, else 'invalid_event' or 'app_sender'. p_addressed: true for p2p. Order of locks: installations (FOR KEY
-- SHARE), dedup keys, sessions; each in the order of its key, so that two batches can't deadlock.
--
-- Plans are made once per connection, also while the tables are empty, and kept when they have grown: so tables are
-- reached by nested loops over indexes alone, and what is not in a table is matched by sorting and by position.
DROP FUNCTION gateway.ingest_messages(bigint[], bigint[], text[], text[], text[], text[], text[], text[], text[], bigint[],
    boolean[], text[], interval, interval);
CREATE FUNCTION gateway.ingest_messages(
    p_installation bigint[], p_generation bigint[], p_app_id text[], p_message_id text[], p_chat_id text[],
    p_thread_id text[], p_chat_type text[], p_sender text[], p_content text[], p_sent_at_ms bigint[],
    p_addressed boolean[], p_fault text[], p_silence interval, p_max_wait interval, p_skips_busy boolean
) RETURNS TABLE (ordinal int, verdict text, session_id bigint, message_position bigint, window_open boolean)
LANGUAGE plpgsql
SET lock_timeout = '800ms' SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_verdict text[];
    v_member bigint[];
    v_session bigint[];
    -- Of each message: which of v_sessions it goes to, and as its how manieth.
    v_slot bigint[];
    v_nth bigint[];
    -- The sessions that get messages, in the order of their keys: how many, the last position before them, and whether
    -- no queued task covers them.
    v_installations bigint[];
    v_sessions bigint[];
    v_counts bigint[];
    v_before bigint[];
    v_uncovered boolean[];
    v_now timestamptz;
BEGIN
    -- The fence: a takeover waits here for us, or we see its generation.
    PERFORM FROM gateway.installation i WHERE i.id = ANY (p_installation) ORDER BY i.id FOR KEY SHARE;

    -- Everything that one look can decide. Dedup comes before every other question about the message: a replay never
    -- prompts twice, never audits another reason. What has no verdict then is to be stored.
    WITH arrived AS MATERIALIZED (
        SELECT r.n, r.installation, r.message_id, r.chat_id, r.thread_id, r.sender, r.addressed, r.fault, CASE
                WHEN i.id IS NULL OR i.lease_generation <> r.generation THEN 'fenced'
                WHEN r.app_id <> i.app_id THEN 'invalid_event'
                WHEN i.status = 'revoked' THEN 'revoked_installation'
                WHEN r.message_id = '' THEN 'invalid_event'
            END AS verdict
        FROM unnest(p_installation, p_generation, p_app_id, p_message_id, p_chat_id, p_thread_id, p_sender, p_addressed,
            p_fault) WITH ORDINALITY
            AS r (installation, generation, app_id, message_id, chat_id, thread_id, sender, addressed, fault, n)
        LEFT JOIN gateway.installation i ON i.id = r.installation
    ), fresh AS (
        INSERT INTO gateway.inbound_dedup (installation_id, lark_message_id)
        SELECT DISTINCT a.installation, a.message_id FROM arrived a WHERE a.verdict IS NULL ORDER BY 1, 2
        ON CONFLICT DO NOTHING
        RETURNING installation_id, lark_message_id
    ), compared AS (
        -- Of equal ids in one batch the first is the message.
        SELECT u.*, bool_or(u.n IS NULL) OVER same AND row_number() OVER (same ORDER BY u.n) = 1 AS is_fresh
        FROM (
            SELECT a.* FROM arrived a
            UNION ALL
            SELECT NULL, f.installation_id, f.lark_message_id, NULL, NULL, NULL, NULL, NULL, NULL FROM fresh f
        ) u
        WINDOW same AS (PARTITION BY u.installation, u.message_id, u.verdict IS NULL)
    ), decided AS MATERIALIZED (
        SELECT c.n, b.member_id, CASE
                WHEN c.verdict IS NOT NULL THEN c.verdict
                WHEN NOT c.is_fresh THEN 'duplicate'
                -- A message outlives its dedup row, which is pruned by age.
                WHEN (SELECT true FROM gateway.chat_message m WHERE m.installation_id = c.installation
                    AND m.lark_message_id = c.message_id LIMIT 1) THEN 'duplicate'
                WHEN c.fault IS NOT NULL THEN c.fault
                WHEN NOT c.addressed THEN 'not_addressed_in_group'
            END AS verdict,
            (SELECT b.session_id FROM gateway.chat_binding b WHERE b.installation_id = c.installation
                AND b.chat_id = c.chat_id AND b.thread_id = c.thread_id) AS session
        FROM compared c
        LEFT JOIN gateway.member_binding b ON b.installation_id = c.installation AND b.open_id = c.sender
        WHERE c.n IS NOT NULL
    )
    SELECT array_agg(d.verdict ORDER BY d.n), array_agg(d.member_id ORDER BY d.n),
        array_agg(CASE WHEN d.verdict IS NULL AND d.member_id IS NOT NULL THEN d.session END ORDER BY d.n)
        INTO v_verdict, v_member, v_session
    FROM decided d;

    IF EXISTS (SELECT FROM unnest(v_verdict, v_member) AS r (verdict, member)
               WHERE r.verdict IS NULL AND r.member IS NULL) THEN
        SELECT s.verdicts, s.members INTO v_verdict, v_member
        FROM gateway.identify_senders(p_installation, p_sender, v_verdict, v_member) s;
    END IF;
    IF EXISTS (SELECT FROM unnest(v_verdict, v_session) AS r (verdict, session)
               WHERE r.verdict IS NULL AND r.session IS NULL) THEN
        v_session := gateway.find_or_create_sessions(
            p_installation, p_chat_id, p_thread_id, p_chat_type, v_member, v_verdict);
    END IF;

    IF p_skips_busy AND EXISTS (SELECT FROM unnest(v_session) AS r (session) WHERE r.session IS NOT NULL) THEN
        SELECT s.verdicts, s.sessions INTO v_verdict, v_session
        FROM gateway.leave_out_busy(p_installation, p_message_id, v_verdict, v_session) s;
    END IF;

    SELECT array_agg(d.installation ORDER BY d.installation, d.session),
        array_agg(d.session ORDER BY d.installation, d.session),
        array_agg(d.messages ORDER BY d.installation, d.session)
        INTO v_installations, v_sessions, v_counts
    FROM (SELECT r.installation, r.session, count(*) AS messages
          FROM unnest(p_installation, v_session) AS r (installation, session)
          WHERE r.session IS NOT NULL GROUP BY 1, 2) d;

    IF v_sessions IS NOT NULL THEN
        SELECT array_agg(m.slot ORDER BY m.n), array_agg(m.nth ORDER BY m.n) INTO v_slot, v_nth
        FROM (SELECT r.n, dense_rank() OVER (ORDER BY r.session IS NULL, r.installation, r.session) AS slot,
                  row_number() OVER (PARTITION BY r.session IS NULL, r.installation, r.session ORDER BY r.n) AS nth
              FROM unnest(p_installation, v_session) WITH ORDINALITY AS r (installation, session, n)) m;

        SELECT array_agg(l.last_position ORDER BY l.installation_id, l.id) INTO v_before
        FROM (SELECT s.installation_id, s.id, s.last_position
              FROM unnest(v_installations, v_sessions) AS d (installation, session)
              JOIN gateway.chat_session s ON s.installation_id = d.installation AND s.id = d.session
              ORDER BY s.installation_id, s.id
              FOR NO KEY UPDATE OF s) l;
        IF cardinality(v_before) IS DISTINCT FROM cardinality(v_sessions) THEN
            RAISE EXCEPTION 'a session went away while a message for it was stored' USING ERRCODE = '40001';
        END IF;
        v_now := clock_timestamp();

        UPDATE gateway.chat_session s
        SET last_position = s.last_position + d.messages, last_user_position = s.last_position + d.messages,
            updated_at = v_now, last_user_at = v_now
        FROM unnest(v_installations, v_sessions, v_counts) AS d (installation, session, messages)
        WHERE s.installation_id = d.installation AND s.id = d.session;

        INSERT INTO gateway.chat_message
            (installation_id, session_id, position, role, sender, content, lark_message_id, sent_at, created_at)
        SELECT r.installation, r.session, v_before[r.slot] + r.nth, 'user', r.sender, r.content, r.message_id,
            to_timestamp(r.sent_at_ms / 1000.0), v_now
        FROM unnest(p_installation, v_session, v_slot, v_nth, p_sender, p_content, p_message_id, p_sent_at_ms)
            AS r (installation, session, slot, nth, sender, content, message_id, sent_at_ms)
        WHERE r.session IS NOT NULL;

        -- A statement of its own: it must see the tasks as they are now that the sessions' locks are held. Unless a
        -- queued task covers its messages already, each session has an open window.
        SELECT array_agg(t.id IS NULL ORDER BY d.n) INTO v_uncovered
        FROM unnest(v_installations, v_sessions) WITH ORDINALITY AS d (installation, session, n)
        LEFT JOIN LATERAL (SELECT t.id FROM gateway.agent_task t WHERE t.installation_id = d.installation
            AND t.session_id = d.session AND t.status = 'queued' LIMIT 1) t ON true;

        INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
        SELECT d.installation, d.session, v_now, v_now + p_silence
        FROM unnest(v_installations, v_sessions, v_uncovered) AS d (installation, session, uncovered)
        WHERE d.uncovered
        ON CONFLICT DO NOTHING;
    END IF;

    IF EXISTS (SELECT FROM unnest(v_verdict) AS r (verdict) WHERE r.verdict IS NOT NULL) THEN
        PERFORM gateway.record_drops(p_installation, p_app_id, p_message_id, p_chat_id, p_sender, v_verdict);
    END IF;

    RETURN QUERY
    SELECT r.n::int, coalesce(r.verdict, 'ingested'), r.session,
        CASE WHEN r.session IS NOT NULL THEN v_before[r.slot] + r.nth END,
        r.session IS NOT NULL AND v_uncovered[r.slot]
    FROM unnest(v_verdict, v_session, v_slot, v_nth) WITH ORDINALITY AS r (verdict, session, slot, nth, n);
END $$;

-- The senders that are no members yet, of messages without a verdict. With access 'open' an unknown sender becomes a
-- member with this message; else it is a verdict.
CREATE FUNCTION gateway.identify_senders(p_installation bigint[], p_sender text[], p_verdict text[], p_member bigint[])
RETURNS TABLE (verdicts text[], members bigint[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    WITH stranger AS MATERIALIZED (
        SELECT DISTINCT r.installation, r.sender, i.workspace_id
        FROM unnest(p_installation, p_sender, p_verdict, p_member) AS r (installation, sender, verdict, member)
        JOIN gateway.installation i ON i.id = r.installation AND i.access = 'open'
        WHERE r.verdict IS NULL AND r.member IS NULL
            AND NOT EXISTS (SELECT FROM gateway.former_member f
                WHERE f.installation_id = r.installation AND f.open_id = r.sender)
        ORDER BY 1, 2
    )
    INSERT INTO gateway.member (workspace_id, name)
    SELECT DISTINCT s.workspace_id, s.sender FROM stranger s ORDER BY 1, 2
    ON CONFLICT ON CONSTRAINT member_name_unique DO NOTHING;

    INSERT INTO gateway.member_binding (installation_id, open_id, workspace_id, member_id)
    SELECT DISTINCT r.installation, r.sender, m.workspace_id, m.id
    FROM unnest(p_installation, p_sender, p_verdict, p_member) AS r (installation, sender, verdict, member)
    JOIN gateway.installation i ON i.id = r.installation AND i.access = 'open'
    JOIN gateway.member m ON m.workspace_id = i.workspace_id AND m.name = r.sender
    WHERE r.verdict IS NULL AND r.member IS NULL
        AND NOT EXISTS (SELECT FROM gateway.former_member f
            WHERE f.installation_id = r.installation AND f.open_id = r.sender)
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING;

    RETURN QUERY
    SELECT array_agg(CASE
            WHEN r.verdict IS NOT NULL THEN r.verdict
            WHEN b.member_id IS NOT NULL THEN NULL
            WHEN f.open_id IS NOT NULL THEN 'non_workspace_member'
            ELSE 'unbound_user'
        END ORDER BY r.n), array_agg(b.member_id ORDER BY r.n)
    FROM unnest(p_installation, p_sender, p_verdict) WITH ORDINALITY AS r (installation, sender, verdict, n)
    LEFT JOIN gateway.member_binding b ON b.installation_id = r.installation AND b.open_id = r.sender
    LEFT JOIN gateway.former_member f ON f.installation_id = r.installation AND f.open_id = r.sender;
END $$;

-- The session of every message without a verdict; a chat's first message makes its session and binding, together.
CREATE FUNCTION gateway.find_or_create_sessions(
    p_installation bigint[], p_chat_id text[], p_thread_id text[], p_chat_type text[], p_member bigint[],
    p_verdict text[]
) RETURNS bigint[] LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    WITH chat AS (
        SELECT DISTINCT ON (r.installation, r.chat_id, r.thread_id) r.*
        FROM unnest(p_installation, p_chat_id, p_thread_id, p_chat_type, p_member, p_verdict)
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

    RETURN (
        SELECT array_agg(CASE WHEN r.verdict IS NULL THEN b.session_id END ORDER BY r.n)
        FROM unnest(p_installation, p_chat_id, p_thread_id, p_verdict)
            WITH ORDINALITY AS r (installation, chat_id, thread_id, verdict, n)
        LEFT JOIN gateway.chat_binding b
            ON b.installation_id = r.installation AND b.chat_id = r.chat_id AND b.thread_id = r.thread_id);
END $$;

-- Locks what sessions can be locked at once; the messages of the others (and their repetitions in the batch) become
-- busy, and are forgotten.
CREATE FUNCTION gateway.leave_out_busy(
    p_installation bigint[], p_message_id text[], p_verdict text[], p_session bigint[]
) RETURNS TABLE (verdicts text[], sessions bigint[]) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_locked bigint[];
    v_busy text[];
BEGIN
    SELECT array_agg(l.id) INTO v_locked FROM (
        SELECT s.id FROM (SELECT DISTINCT r.installation, r.session
            FROM unnest(p_installation, p_session) AS r (installation, session) WHERE r.session IS NOT NULL) r
        JOIN gateway.chat_session s ON s.installation_id = r.installation AND s.id = r.session
        ORDER BY s.installation_id, s.id
        FOR NO KEY UPDATE OF s SKIP LOCKED) l;
    SELECT array_agg(r.installation || ' ' || r.message_id) INTO v_busy
    FROM unnest(p_installation, p_message_id, p_session) AS r (installation, message_id, session)
    WHERE r.session <> ALL (coalesce(v_locked, '{}'));
    IF v_busy IS NULL THEN
        RETURN QUERY SELECT p_verdict, p_session;
        RETURN;
    END IF;
    DELETE FROM gateway.inbound_dedup d
    USING unnest(p_installation, p_message_id, p_session) AS r (installation, message_id, session)
    WHERE r.session <> ALL (coalesce(v_locked, '{}')) AND d.installation_id = r.installation
        AND d.lark_message_id = r.message_id;
    RETURN QUERY
    SELECT array_agg(CASE WHEN r.is_busy THEN 'busy' ELSE r.verdict END ORDER BY r.n),
        array_agg(CASE WHEN NOT r.is_busy THEN r.session END ORDER BY r.n)
    FROM (SELECT u.*, coalesce(u.verdict, 'duplicate') = 'duplicate'
              AND u.installation || ' ' || u.message_id = ANY (v_busy) AS is_busy
          FROM unnest(p_installation, p_message_id, p_verdict, p_session)
              WITH ORDINALITY AS u (installation, message_id, verdict, session, n)) r;
END $$;

-- What was dropped is audited, and who has to know is told: one prompt per stranger and 15 minutes, privately, also
-- when they wrote in a group; one notice per ended membership.
CREATE FUNCTION gateway.record_drops(
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
    WHERE NOT EXISTS (
        SELECT FROM gateway.outbox o
        WHERE o.installation_id = r.installation AND o.receive_id = r.sender AND o.kind = 'prompt'
            AND o.created_at > now() - interval '15 minutes' AND o.dead_at IS NULL);

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

DROP FUNCTION gateway.open_windows(bigint[], bigint[], timestamptz, interval, interval);

-- Turns closed windows into tasks or notices, in one transaction. One row per window that was still there:
--
--   queued          a task is queued (task_id), or one was queued already and covers the messages
--   agent_offline   the agent has no runtime: a notice is in the outbox, the messages stay
--   agent_archived  likewise
--   empty           its messages were all handed out already: no task
--   not_due         the window was extended meanwhile; remaining_ms says by how much
--   busy            somebody holds the session's row: to be tried again soon; its neighbours do not wait for it
--                   (with p_force they do: there is no soon)
--   fenced          this replica no longer owns the installation: nothing was written
--
-- p_force flushes before the time is up (shutdown). Order of locks: installations, sessions by key, windows.
DROP FUNCTION gateway.flush_windows(bigint[], bigint[], bigint[], boolean);
CREATE FUNCTION gateway.flush_windows(
    p_installation bigint[], p_generation bigint[], p_session bigint[], p_force boolean, p_silence interval,
    p_max_wait interval
) RETURNS TABLE (session_id bigint, outcome text, task_id bigint, remaining_ms bigint)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_installation bigint[];
    v_generation bigint[];
    v_session bigint[];
    v_now timestamptz;
BEGIN
    PERFORM FROM gateway.installation i WHERE i.id = ANY (p_installation) ORDER BY i.id FOR KEY SHARE;
    IF p_force THEN
        PERFORM FROM unnest(p_installation, p_session) AS r (installation, session)
        JOIN gateway.chat_session s ON s.installation_id = r.installation AND s.id = r.session
        ORDER BY s.installation_id, s.id
        FOR NO KEY UPDATE OF s;
    END IF;
    SELECT array_agg(l.installation_id), array_agg(l.generation), array_agg(l.id)
        INTO v_installation, v_generation, v_session
    FROM (SELECT s.installation_id, r.generation, s.id
          FROM unnest(p_installation, p_generation, p_session) AS r (installation, generation, session)
          JOIN gateway.chat_session s ON s.installation_id = r.installation AND s.id = r.session
          ORDER BY s.installation_id, s.id
          FOR NO KEY UPDATE OF s SKIP LOCKED) l;
    v_now := clock_timestamp();

    RETURN QUERY
    WITH open AS MATERIALIZED (
        SELECT p.installation_id, p.session_id, a.id AS agent_id, a.name AS agent_name, a.runtime_id, CASE
                WHEN i.lease_generation <> r.generation THEN 'fenced'
                WHEN due.at > v_now AND NOT p_force THEN 'not_due'
                WHEN s.last_user_position <= greatest(s.handed_position, s.answered_position) THEN 'empty'
                WHEN a.archived_at IS NOT NULL THEN 'agent_archived'
                WHEN a.runtime_id IS NULL THEN 'agent_offline'
                ELSE 'queued'
            END AS outcome, ceil(extract(epoch FROM due.at - v_now) * 1000)::bigint AS remaining_ms
        FROM unnest(v_installation, v_generation, v_session) AS r (installation, generation, session)
        JOIN gateway.pending_run p ON p.installation_id = r.installation AND p.session_id = r.session
        JOIN gateway.chat_session s ON s.installation_id = r.installation AND s.id = r.session
        JOIN gateway.installation i ON i.id = r.installation
        JOIN gateway.agent a ON a.id = i.agent_id
        CROSS JOIN LATERAL (
            SELECT gateway.window_due(p.first_at, p.due_at, s.last_user_at, p_silence, p_max_wait)) due (at)
    ), closed AS (
        DELETE FROM gateway.pending_run p USING open o
        WHERE o.outcome NOT IN ('fenced', 'not_due') AND p.installation_id = o.installation_id
            AND p.session_id = o.session_id
    ), task AS (
        INSERT INTO gateway.agent_task AS t (installation_id, session_id, agent_id, runtime_id)
        SELECT o.installation_id, o.session_id, o.agent_id, o.runtime_id FROM open o WHERE o.outcome = 'queued'
        ON CONFLICT (installation_id, session_id) WHERE status = 'queued' DO NOTHING
        RETURNING t.session_id, t.id
    ), told AS MATERIALIZED (
        SELECT gateway.put_outbox_for_session(o.installation_id, o.session_id, 'notice',
            jsonb_build_object('notice', o.outcome, 'agent', o.agent_name), NULL)
        FROM open o WHERE o.outcome IN ('agent_offline', 'agent_archived')
    ), woken AS MATERIALIZED (
        SELECT pg_notify('gateway_task', w.runtime_id)
        FROM (SELECT DISTINCT o.runtime_id FROM open o WHERE o.outcome = 'queued') w
    )
    SELECT u.session_id, max(u.outcome), max(u.task_id), max(u.remaining_ms)
    FROM (
        SELECT o.session_id, o.outcome, NULL::bigint AS task_id,
            CASE o.outcome WHEN 'not_due' THEN o.remaining_ms END AS remaining_ms FROM open o
        UNION ALL
        SELECT t.session_id, NULL, t.id, NULL FROM task t
    ) u
    -- A CTE that nobody reads does not run, unless it writes.
    WHERE (SELECT count(*) FROM told) >= 0 AND (SELECT count(*) FROM woken) >= 0
    GROUP BY u.session_id;

    IF cardinality(p_session) > coalesce(cardinality(v_session), 0) THEN
        RETURN QUERY
        SELECT p.session_id, 'busy', NULL::bigint, NULL::bigint
        FROM unnest(p_installation, p_session) AS r (installation, session)
        JOIN gateway.pending_run p ON p.installation_id = r.installation AND p.session_id = r.session
        WHERE r.session <> ALL (coalesce(v_session, '{}'));
    END IF;
END $$;

-- Gives back the tasks whose claim ran out: queued again as the next attempt, or failed after the fifth. Returns how
-- many. A task that was queued meanwhile gives way: the one that is given back covers its messages too. The time is
-- read once: a clock in the condition keeps the index on it from being used.
CREATE OR REPLACE FUNCTION gateway.expire_claims(p_runtime text DEFAULT NULL) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    v_now timestamptz := clock_timestamp();
    v_task gateway.agent_task;
    v_count int := 0;
BEGIN
    FOR v_task IN
        SELECT t.* FROM gateway.agent_task t
        JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
        WHERE t.status = 'claimed' AND t.claim_expires_at < v_now
            AND (p_runtime IS NULL OR t.runtime_id = p_runtime)
        ORDER BY t.claim_expires_at LIMIT 100
        FOR NO KEY UPDATE OF s SKIP LOCKED
    LOOP
        -- Again, under the session's lock: it may have been finished or extended in between.
        SELECT t.* INTO v_task FROM gateway.agent_task t
        WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id
            AND t.status = 'claimed' AND t.claim_expires_at < v_now
        FOR UPDATE;
        CONTINUE WHEN NOT FOUND;
        v_count := v_count + 1;
        IF v_task.attempt >= 5 THEN
            PERFORM gateway.finish_failed(v_task, 'the worker did not answer in 5 attempts');
        ELSE
            UPDATE gateway.agent_task t
            SET status = 'cancelled', finished_at = clock_timestamp(), error = 'covered by task ' || v_task.id
            WHERE t.installation_id = v_task.installation_id AND t.session_id = v_task.session_id
                AND t.status = 'queued';
            UPDATE gateway.agent_task t
            SET status = 'queued', attempt = t.attempt + 1, worker = NULL, claimed_at = NULL, claim_expires_at = NULL
            WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
            UPDATE gateway.chat_session s SET claimed_task_id = NULL
            WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id;
            PERFORM pg_notify('gateway_task', v_task.runtime_id);
        END IF;
    END LOOP;
    RETURN v_count;
END $$;

-- Claims the oldest claimable task of a runtime, of one installation where one is given; no row when there is none.
-- messages: every user message after the last answered one, in order, as
-- [{position, lark_message_id, sender, content, created_at}].
CREATE OR REPLACE FUNCTION gateway.claim_task(
    runtime text, worker text, lease interval DEFAULT '60 seconds', installation bigint DEFAULT NULL
) RETURNS TABLE (
    task_id bigint, session_id bigint, workspace text, agent text, chat_id text, chat_type text, attempt int,
    messages jsonb
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_task gateway.agent_task;
    v_session gateway.chat_session;
    v_messages jsonb;
    v_handed bigint;
BEGIN
    IF claim_task.worker IS NULL OR claim_task.worker = '' THEN
        RAISE EXCEPTION 'claim_task needs a worker name' USING ERRCODE = '22023';
    END IF;
    PERFORM gateway.expire_claims(claim_task.runtime);
    LOOP
        -- Both rows at once, and neither waited for: who holds a session's lock may wait for its task's.
        IF claim_task.installation IS NULL THEN
            SELECT t.* INTO v_task
            FROM gateway.agent_task t
            JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
            WHERE t.status = 'queued' AND t.runtime_id = claim_task.runtime AND t.runtime_id <> ''
                AND s.claimed_task_id IS NULL
            ORDER BY t.created_at, t.id LIMIT 1
            FOR NO KEY UPDATE OF t, s SKIP LOCKED;
        ELSE
            SELECT t.* INTO v_task
            FROM gateway.agent_task t
            JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
            WHERE t.status = 'queued' AND t.runtime_id = claim_task.runtime AND t.runtime_id <> ''
                AND t.installation_id = claim_task.installation AND s.claimed_task_id IS NULL
            ORDER BY t.created_at, t.id LIMIT 1
            FOR NO KEY UPDATE OF t, s SKIP LOCKED;
        END IF;
        EXIT WHEN NOT FOUND;

        SELECT s.* INTO v_session FROM gateway.chat_session s
        WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id;
        SELECT jsonb_agg(jsonb_build_object(
                'position', m.position, 'lark_message_id', m.lark_message_id, 'sender', m.sender,
                'content', m.content, 'created_at', m.created_at) ORDER BY m.position), max(m.position)
            INTO v_messages, v_handed
        FROM gateway.chat_message m
        WHERE m.installation_id = v_task.installation_id AND m.session_id = v_task.session_id
            AND m.position > v_session.answered_position AND m.role = 'user';

        IF v_handed IS NULL THEN
            UPDATE gateway.agent_task t
            SET status = 'cancelled', finished_at = clock_timestamp(), error = 'nothing was left to answer'
            WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
            CONTINUE;
        END IF;

        UPDATE gateway.agent_task t
        SET status = 'claimed', worker = claim_task.worker, lease = claim_task.lease, handed_position = v_handed,
            claimed_at = clock_timestamp(), claim_expires_at = clock_timestamp() + claim_task.lease
        WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
        UPDATE gateway.chat_session s
        SET claimed_task_id = v_task.id, handed_position = greatest(s.handed_position, v_handed)
        WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id;

        RETURN QUERY
        SELECT v_task.id, v_task.session_id, w.name, a.name, b.chat_id, b.chat_type, v_task.attempt, v_messages
        FROM gateway.agent a
        JOIN gateway.workspace w ON w.id = a.workspace_id
        JOIN gateway.chat_binding b
            ON b.installation_id = v_task.installation_id AND b.session_id = v_task.session_id
        WHERE a.id = v_task.agent_id;
        EXIT;
    END LOOP;
END $$;

-- Takes what is due to be sent: at most one row per receiver, the oldest, so that a chat's messages keep their order.
-- A row that is taken comes again after p_visibility, or at once when the lease went to another holder. Sent after the
-- lease was lost, it is sent twice with the same uuid: Lark makes one message of it. One walk over what is unsent:
-- comparing each row with those before it took the square of a backlog.
CREATE OR REPLACE FUNCTION gateway.take_outbox(p_holder text, p_limit int, p_visibility interval)
RETURNS TABLE (
    installation_id bigint, generation bigint, id uuid, kind text, receive_id_type text, receive_id text,
    reply_to text, in_thread boolean, payload jsonb, attempts int, locale text, workspace text, agent text
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH head AS MATERIALIZED (
        SELECT i.id AS installation_id, o.id, i.lease_generation, i.locale, i.workspace_id, i.agent_id
        FROM gateway.installation i
        CROSS JOIN LATERAL (
            SELECT DISTINCT ON (o.receive_id) o.id FROM gateway.outbox o
            WHERE o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL
            ORDER BY o.receive_id, o.seq) o
        WHERE i.lease_holder = p_holder
    ), due AS (
        SELECT h.* FROM head h
        JOIN gateway.outbox o ON o.installation_id = h.installation_id AND o.id = h.id
        -- Said so that the index of unsent rows is no candidate: it is the primary key that finds a row.
        WHERE coalesce(o.sent_at, o.dead_at) IS NULL
            AND (o.next_attempt_at <= clock_timestamp() OR o.taken_generation <> h.lease_generation)
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
