-- What people say to the gateway itself, and what they see while the agent works.
--
-- /issue, /new, /help and /status: a command is stored like any message, in its order, and carried out and answered in the
-- same transaction; no run answers it.

-- NULL: a message to the agent. A /new with a text is both: a new context, and its first message.
ALTER TABLE gateway.chat_message ADD command text
    CONSTRAINT chat_message_command CHECK (command IN ('issue', 'new', 'help', 'status'));
-- Where contexts begin.
CREATE INDEX chat_message_contexts ON gateway.chat_message (installation_id, session_id, position) WHERE command = 'new';
-- The position of the last /new: nothing up to it belongs to what the agent is talking about now.
ALTER TABLE gateway.chat_session ADD context_position bigint NOT NULL DEFAULT 0;

ALTER TABLE gateway.workspace ADD last_issue bigint NOT NULL DEFAULT 0;
ALTER TABLE gateway.issue
    ADD description text NOT NULL DEFAULT '',
    ADD created_by text,
    ADD installation_id bigint,
    ADD session_id bigint,
    ADD lark_message_id text;

CREATE FUNCTION gateway.is_answered_by_runs(p_command text, p_content text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_command IS NULL OR (p_command = 'new' AND p_content <> '')
$$;

-- KEY of an issue's name KEY-12: what is in the workspace's name of letters and digits, at most ten of them.
CREATE FUNCTION gateway.issue_key(p_workspace text, p_number bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(left(upper(regexp_replace(p_workspace, '[^A-Za-z0-9]', '', 'g')), 10), ''), 'ISSUE')
        || '-' || p_number
$$;

-- Carries out one command that stands at a position of a session, and puts its answer into the outbox. The caller holds
-- the session's lock.
CREATE FUNCTION gateway.run_command(
    p_installation bigint, p_session bigint, p_position bigint, p_message_id text, p_sender text, p_content text,
    p_command text, p_title text, p_description text
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_answer jsonb;
    v_title text := left(p_title, 500);
    v_number bigint;
    v_workspace gateway.workspace;
BEGIN
    CASE p_command
    WHEN 'new' THEN
        UPDATE gateway.chat_session s SET context_position = p_position
        WHERE s.installation_id = p_installation AND s.id = p_session;
        -- With a text the agent's reply is the answer.
        IF p_content = '' THEN v_answer := '{"notice": "context_started"}'; END IF;
    WHEN 'issue' THEN
        IF coalesce(v_title, '') = '' THEN
            -- The first line of what was said before, of an issue its title.
            SELECT left(regexp_replace(l.line, '^/issue\s+', ''), 500) INTO v_title
            FROM (SELECT m.content FROM gateway.chat_message m
                  WHERE m.installation_id = p_installation AND m.session_id = p_session AND m.position < p_position
                      AND m.role = 'user' AND (gateway.is_answered_by_runs(m.command, m.content)
                          OR m.command = 'issue' AND m.content !~ '^\s*/issue\s*$')
                  ORDER BY m.position DESC LIMIT 1) m
            CROSS JOIN LATERAL (
                SELECT btrim(r.line, E' \t\r') AS line
                FROM regexp_split_to_table(m.content, '\n') WITH ORDINALITY AS r (line, n)
                WHERE btrim(r.line, E' \t\r') <> '' ORDER BY r.n LIMIT 1) l;
        END IF;
        IF coalesce(v_title, '') = '' THEN
            v_answer := '{"notice": "issue_usage"}';
        ELSE
            UPDATE gateway.workspace w SET last_issue = w.last_issue + 1
            FROM gateway.installation i WHERE i.id = p_installation AND w.id = i.workspace_id
            RETURNING w.* INTO v_workspace;
            v_number := v_workspace.last_issue;
            INSERT INTO gateway.issue (workspace_id, number, title, description, created_by, installation_id, session_id,
                lark_message_id)
            VALUES (v_workspace.id, v_number, v_title, coalesce(p_description, ''), p_sender, p_installation, p_session,
                p_message_id);
            v_answer := jsonb_build_object('notice', 'issue_created', 'title', v_title,
                'key', gateway.issue_key(v_workspace.name, v_number));
        END IF;
    WHEN 'help' THEN
        v_answer := '{"notice": "help"}';
    WHEN 'status' THEN
        SELECT jsonb_build_object('notice', 'status', 'state', CASE WHEN a.archived_at IS NOT NULL THEN 'archived'
                WHEN a.runtime_id IS NULL THEN 'offline' ELSE 'online' END,
            'is_running', s.claimed_task_id IS NOT NULL,
            'waiting', (SELECT count(*) FROM gateway.chat_message m
                WHERE m.installation_id = p_installation AND m.session_id = p_session AND m.role = 'user'
                    AND m.position > greatest(s.answered_position,
                        CASE WHEN s.claimed_task_id IS NOT NULL THEN s.handed_position ELSE 0 END)
                    AND gateway.is_answered_by_runs(m.command, m.content)))
            INTO v_answer
        FROM gateway.chat_session s
        JOIN gateway.installation i ON i.id = s.installation_id
        JOIN gateway.agent a ON a.id = i.agent_id
        WHERE s.installation_id = p_installation AND s.id = p_session;
    END CASE;
    IF v_answer IS NOT NULL THEN
        PERFORM gateway.put_outbox_for_session(p_installation, p_session, 'notice', v_answer, p_message_id);
        PERFORM pg_notify('gateway_outbox', p_installation::text);
    END IF;
END $$;

-- What stood in a group before the message that opened a session's last window, for the run that gets that message.
CREATE TABLE gateway.group_context (
    installation_id bigint NOT NULL,
    session_id bigint NOT NULL,
    position bigint NOT NULL,
    messages jsonb NOT NULL,
    fetched_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (installation_id, session_id),
    FOREIGN KEY (installation_id, session_id) REFERENCES gateway.chat_session (installation_id, id) ON DELETE CASCADE
);

-- The sign under a message that the agent is at work: put there when a window opens, taken away when nothing waits for the
-- session's agent any more. The gateway writes it by itself, not with the message: a sign is worth no delay of an ack.
CREATE TABLE gateway.typing (
    installation_id bigint NOT NULL,
    session_id bigint NOT NULL,
    position bigint NOT NULL,
    lark_message_id text NOT NULL,
    reaction_id text,                               -- NULL: asked for, and nobody heard the answer
    attempts int NOT NULL DEFAULT 0,                -- to take it away
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (installation_id, session_id, position)
);

-- Whether a session's sign has nothing to say any more: its message is answered, or no run waits or goes on.
CREATE FUNCTION gateway.is_typing_over(p_installation bigint, p_session bigint, p_position bigint) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (
        SELECT FROM gateway.chat_session s
        WHERE s.installation_id = p_installation AND s.id = p_session AND p_position > s.answered_position
            AND (s.claimed_task_id IS NOT NULL
                OR EXISTS (SELECT FROM gateway.pending_run p
                    WHERE p.installation_id = p_installation AND p.session_id = p_session)
                OR EXISTS (SELECT FROM gateway.agent_task t
                    WHERE t.installation_id = p_installation AND t.session_id = p_session AND t.status = 'queued')))
$$;

-- Takes the signs that are over, of the installations that the holder owns, or of one session.
CREATE FUNCTION gateway.take_typing(
    p_holder text, p_limit int, p_installation bigint DEFAULT NULL, p_session bigint DEFAULT NULL
) RETURNS TABLE (
    installation_id bigint, session_id bigint, "position" bigint, lark_message_id text, reaction_id text, attempts int
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH over AS (
        SELECT t.installation_id, t.session_id, t.position FROM gateway.typing t
        JOIN gateway.installation i ON i.id = t.installation_id
        WHERE i.lease_holder = p_holder
            AND (p_session IS NULL OR (t.installation_id = p_installation AND t.session_id = p_session))
            -- Who is about to send the answer does not wait for the next attempt.
            AND (t.next_attempt_at <= clock_timestamp() OR p_session IS NOT NULL)
            AND gateway.is_typing_over(t.installation_id, t.session_id, t.position)
    ), locked AS (
        SELECT t.installation_id, t.session_id, t.position FROM gateway.typing t
        JOIN over o ON o.installation_id = t.installation_id AND o.session_id = t.session_id AND o.position = t.position
        ORDER BY t.installation_id, t.session_id, t.position LIMIT p_limit
        FOR UPDATE OF t SKIP LOCKED
    )
    UPDATE gateway.typing t
    SET attempts = t.attempts + 1, next_attempt_at = clock_timestamp() + interval '15 seconds'
    FROM locked l
    WHERE t.installation_id = l.installation_id AND t.session_id = l.session_id AND t.position = l.position
    RETURNING t.installation_id, t.session_id, t.position, t.lark_message_id, t.reaction_id, t.attempts;
END $$;

-- As before (007_set_based.sql), and: p_command, NULL where a batch has none: what each message commands; p_title and
-- p_description: what /issue says.
DROP FUNCTION gateway.ingest_messages(bigint[], bigint[], text[], text[], text[], text[], text[], text[], text[], bigint[],
    boolean[], text[], interval, interval, boolean);
CREATE FUNCTION gateway.ingest_messages(
    p_installation bigint[], p_generation bigint[], p_app_id text[], p_message_id text[], p_chat_id text[],
    p_thread_id text[], p_chat_type text[], p_sender text[], p_content text[], p_sent_at_ms bigint[],
    p_addressed boolean[], p_fault text[], p_silence interval, p_max_wait interval, p_skips_busy boolean,
    p_command text[] DEFAULT NULL, p_title text[] DEFAULT NULL, p_description text[] DEFAULT NULL
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
    -- How many of its messages the last one is that a run has to answer; NULL: none is.
    v_last bigint[];
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
        v_last := v_counts;
        IF p_command IS NOT NULL THEN
            SELECT array_agg(l.last ORDER BY l.slot) INTO v_last
            FROM (SELECT r.slot, max(r.nth) FILTER (WHERE gateway.is_answered_by_runs(r.command, r.content)) AS last
                  FROM unnest(v_session, v_slot, v_nth, p_command, p_content) AS r (session, slot, nth, command, content)
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
            (installation_id, session_id, position, role, sender, content, lark_message_id, sent_at, created_at, command)
        SELECT r.installation, r.session, v_before[r.slot] + r.nth, 'user', r.sender, r.content, r.message_id,
            to_timestamp(r.sent_at_ms / 1000.0), v_now, r.command
        FROM unnest(p_installation, v_session, v_slot, v_nth, p_sender, p_content, p_message_id, p_sent_at_ms, p_command)
            AS r (installation, session, slot, nth, sender, content, message_id, sent_at_ms, command)
        WHERE r.session IS NOT NULL;

        -- A statement of its own: it must see the tasks as they are now that the sessions' locks are held. Unless a
        -- queued task covers its messages already, each session has an open window.
        SELECT array_agg(t.id IS NULL AND d.last IS NOT NULL ORDER BY d.n) INTO v_uncovered
        FROM unnest(v_installations, v_sessions, v_last) WITH ORDINALITY AS d (installation, session, last, n)
        LEFT JOIN LATERAL (SELECT t.id FROM gateway.agent_task t WHERE t.installation_id = d.installation
            AND t.session_id = d.session AND t.status = 'queued' LIMIT 1) t ON true;

        INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
        SELECT d.installation, d.session, v_now, v_now + p_silence
        FROM unnest(v_installations, v_sessions, v_uncovered) AS d (installation, session, uncovered)
        WHERE d.uncovered
        ON CONFLICT DO NOTHING;

        IF p_command IS NOT NULL THEN
            PERFORM gateway.run_command(r.installation, r.session, v_before[r.slot] + r.nth, r.message_id, r.sender,
                r.content, r.command, r.title, r.description)
            FROM (SELECT * FROM unnest(p_installation, v_session, v_slot, v_nth, p_message_id, p_sender, p_content,
                      p_command, p_title, p_description) WITH ORDINALITY
                      AS u (installation, session, slot, nth, message_id, sender, content, command, title, description, n)
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

-- Claims the oldest claimable task of a runtime, of one installation where one is given; no row when there is none.
-- messages: every user message of one context after the last answered one, in order, as
-- [{position, lark_message_id, sender, content, created_at}]; commands are none. context: which /new the messages stand
-- after, by its position; 0: none. A worker that remembers a session forgets it when the context changes. group_context:
-- what was said in the group before, by others: [{lark_message_id, sender, from: user or bot, content, created_at}].
DROP FUNCTION gateway.claim_task(text, text, interval, bigint);
CREATE FUNCTION gateway.claim_task(
    runtime text, worker text, lease interval DEFAULT '60 seconds', installation bigint DEFAULT NULL
) RETURNS TABLE (
    task_id bigint, session_id bigint, workspace text, agent text, chat_id text, chat_type text, attempt int,
    messages jsonb, context bigint, group_context jsonb
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
    v_context bigint;
    -- The first message of the next context.
    v_end bigint;
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
        v_context := v_session.context_position;
        v_end := NULL;
        IF v_context > v_session.answered_position + 1 THEN
            -- What stands before a boundary and is not answered yet is a run of its own.
            SELECT m.position INTO v_handed FROM gateway.chat_message m
            WHERE m.installation_id = v_task.installation_id AND m.session_id = v_task.session_id
                AND m.position > v_session.answered_position AND m.role = 'user'
                AND gateway.is_answered_by_runs(m.command, m.content)
            ORDER BY m.position LIMIT 1;
            SELECT m.position INTO v_end FROM gateway.chat_message m
            WHERE m.installation_id = v_task.installation_id AND m.session_id = v_task.session_id
                AND m.position > v_handed AND m.command = 'new'
            ORDER BY m.position LIMIT 1;
            SELECT coalesce(max(c.position), 0) INTO v_context
            FROM (SELECT m.position FROM gateway.chat_message m
                  WHERE m.installation_id = v_task.installation_id AND m.session_id = v_task.session_id
                      AND m.position <= v_handed AND m.command = 'new'
                  ORDER BY m.position DESC LIMIT 1) c;
        END IF;
        SELECT jsonb_agg(jsonb_build_object(
                'position', m.position, 'lark_message_id', m.lark_message_id, 'sender', m.sender,
                'content', m.content, 'created_at', m.created_at) ORDER BY m.position), max(m.position)
            INTO v_messages, v_handed
        FROM gateway.chat_message m
        WHERE m.installation_id = v_task.installation_id AND m.session_id = v_task.session_id
            AND m.position > v_session.answered_position AND m.role = 'user'
            AND gateway.is_answered_by_runs(m.command, m.content) AND (v_end IS NULL OR m.position < v_end);

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

        -- What was left for the next context needs a task of its own, unless its window is open still.
        IF v_session.last_user_position > v_handed THEN
            INSERT INTO gateway.agent_task (installation_id, session_id, agent_id, runtime_id)
            SELECT v_task.installation_id, v_task.session_id, v_task.agent_id, v_task.runtime_id
            WHERE NOT EXISTS (SELECT FROM gateway.pending_run p
                WHERE p.installation_id = v_task.installation_id AND p.session_id = v_task.session_id)
            ON CONFLICT (installation_id, session_id) WHERE status = 'queued' DO NOTHING;
        END IF;

        RETURN QUERY
        SELECT v_task.id, v_task.session_id, w.name, a.name, b.chat_id, b.chat_type, v_task.attempt, v_messages, v_context,
            coalesce((SELECT g.messages FROM gateway.group_context g
                WHERE g.installation_id = v_task.installation_id AND g.session_id = v_task.session_id
                    AND g.position > v_session.answered_position AND g.position <= v_handed), '[]')
        FROM gateway.agent a
        JOIN gateway.workspace w ON w.id = a.workspace_id
        JOIN gateway.chat_binding b
            ON b.installation_id = v_task.installation_id AND b.session_id = v_task.session_id
        WHERE a.id = v_task.agent_id;
        EXIT;
    END LOOP;
END $$;
