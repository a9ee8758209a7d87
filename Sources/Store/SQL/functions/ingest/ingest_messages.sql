-- Decides the fate of every message of a batch, in one transaction: stores it, or drops it with an audit row, and puts
-- what must be told into the outbox. Called by the gateway's ingest lanes.
--
-- The arrays have one element per message, in the order of arrival:
--
--   p_generation   lease generation under which the replica received the message (the fence)
--   p_addressed    the message is for the bot; always true in p2p chats
--   p_fault        NULL for a well-formed message, else 'invalid_event' or 'app_sender'
--   p_command      the chat command of each message; the whole array is NULL or empty when there is none
--   p_title, p_description   the arguments of /issue
--   p_silence      debounce window
--   p_max_wait     not used here: window_due applies it
--   p_skips_busy   do not wait for sessions that others have locked: their messages get the verdict busy
--
-- Returns one verdict per message. When several apply, the first of this list wins (behaviour B1 to B22):
--
--   fenced                   this replica no longer owns the installation: nothing was written, do not ack
--   invalid_event            for another app (audited without an installation), without ids, or not decodable
--   revoked_installation     the installation is revoked; nothing else was checked
--   duplicate                handled before
--   app_sender               written by a bot
--   not_addressed_in_group   a group message that does not address the bot
--   non_workspace_member     the sender's membership ended
--   unbound_user             the sender must bind first; a prompt is in the outbox, one per sender and 15 minutes
--   busy                     with p_skips_busy: another transaction holds the session's row. Nothing of the message was
--                            written: it must be submitted again
--   ingested                 stored at message_position; window_open says whether its run is still to be queued
--
-- Raises 55P03 after waiting 800 ms for a lock, and 40001 when a session was deleted meanwhile.
-- Locks: installations (FOR KEY SHARE), dedup keys, sessions (FOR NO KEY UPDATE); each in key order, so that two
-- batches can't deadlock.
--
-- Planner settings: plans are made once per connection, possibly while the tables are empty, and kept when the tables
-- have grown. So tables are reached by nested loops over indexes alone, and data that is in no table is matched by
-- sorting and by position.
CREATE OR REPLACE FUNCTION gateway.ingest_messages(
    p_installation bigint[], p_generation bigint[], p_app_id text[], p_message_id text[], p_chat_id text[],
    p_thread_id text[], p_chat_type text[], p_sender text[], p_content text[], p_sent_at_ms bigint[],
    p_addressed boolean[], p_fault text[], p_silence interval, p_max_wait interval, p_skips_busy boolean,
    p_command text[] DEFAULT NULL, p_title text[] DEFAULT NULL, p_description text[] DEFAULT NULL
) RETURNS TABLE (ordinal int, verdict text, session_id bigint, message_position bigint, window_open boolean)
LANGUAGE plpgsql
SET lock_timeout = '800ms' SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_verdict text[];
    v_member bigint[];
    v_session bigint[];
    -- Per message: the index of its session in v_sessions, and its ordinal within that session.
    v_slot bigint[];
    v_nth bigint[];
    -- The sessions that get messages, in key order. Per session: the number of messages, the last position before them,
    -- and whether they need a window because no queued task covers them.
    v_installations bigint[];
    v_sessions bigint[];
    v_counts bigint[];
    v_before bigint[];
    v_uncovered boolean[];
    -- Per session: the ordinal of its last message that needs a run; NULL if none does.
    v_last bigint[];
    v_now timestamptz;
BEGIN
    -- The fence: a takeover waits until this transaction ends, or this transaction sees the new generation.
    PERFORM FROM gateway.installation i WHERE i.id = ANY (p_installation) ORDER BY i.id FOR KEY SHARE;

    -- All that one query can decide. Dedup precedes every other check of the message: a replay never prompts twice and
    -- never audits another reason.
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
        -- If an id occurs twice in one batch, the first occurrence is the message.
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
        v_last := v_counts;
        IF cardinality(p_command) > 0 THEN
            SELECT array_agg(l.last ORDER BY l.slot) INTO v_last
            FROM (SELECT r.slot, max(r.nth) FILTER (WHERE gateway.is_answered_by_runs(r.command, r.content)) AS last
                  FROM unnest(v_session, v_slot, v_nth, p_command, p_content)
                      AS r (session, slot, nth, command, content)
                  WHERE r.session IS NOT NULL GROUP BY r.slot) l;
        END IF;
        v_now := clock_timestamp();

        UPDATE gateway.chat_session s
        SET last_position = s.last_position + d.messages, updated_at = v_now,
            last_user_position = CASE WHEN d.last IS NULL THEN s.last_user_position ELSE s.last_position + d.last END,
            last_user_at = CASE WHEN d.last IS NULL THEN s.last_user_at ELSE v_now END
        FROM unnest(v_installations, v_sessions, v_counts, v_last) AS d (installation, session, messages, last)
        WHERE s.installation_id = d.installation AND s.id = d.session;

        INSERT INTO gateway.chat_message
            (installation_id, session_id, position, role, sender, content, lark_message_id, sent_at, created_at,
            command)
        SELECT r.installation, r.session, v_before[r.slot] + r.nth, 'user', r.sender, r.content, r.message_id,
            to_timestamp(r.sent_at_ms / 1000.0), v_now, r.command
        FROM unnest(p_installation, v_session, v_slot, v_nth, p_sender, p_content, p_message_id, p_sent_at_ms,
            p_command)
            AS r (installation, session, slot, nth, sender, content, message_id, sent_at_ms, command)
        WHERE r.session IS NOT NULL;

        -- A separate statement, so that its snapshot is taken after the sessions were locked. A session whose messages
        -- no queued task covers gets an open window.
        SELECT array_agg(t.id IS NULL AND d.last IS NOT NULL ORDER BY d.n) INTO v_uncovered
        FROM unnest(v_installations, v_sessions, v_last) WITH ORDINALITY AS d (installation, session, last, n)
        LEFT JOIN LATERAL (SELECT t.id FROM gateway.agent_task t WHERE t.installation_id = d.installation
            AND t.session_id = d.session AND t.status = 'queued' LIMIT 1) t ON true;

        INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
        SELECT d.installation, d.session, v_now, v_now + p_silence
        FROM unnest(v_installations, v_sessions, v_uncovered) AS d (installation, session, uncovered)
        WHERE d.uncovered
        ON CONFLICT DO NOTHING;

        IF cardinality(p_command) > 0 THEN
            PERFORM gateway.run_command(r.installation, r.session, v_before[r.slot] + r.nth, r.message_id, r.sender,
                r.content, r.command, r.title, r.description)
            FROM (SELECT * FROM unnest(p_installation, v_session, v_slot, v_nth, p_message_id, p_sender, p_content,
                      p_command, p_title, p_description) WITH ORDINALITY
                      AS u (installation, session, slot, nth, message_id, sender, content, command, title, description,
                          n)
                  WHERE u.session IS NOT NULL AND u.command IS NOT NULL ORDER BY u.n) r;
        END IF;
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
