-- Turns closed windows into tasks or notices, in one transaction. Called by the gateway.
--
--   p_generation   lease generations of the installations (the fence)
--   p_force        flush before the deadline (shutdown), and wait for locked sessions
--   p_silence, p_max_wait   debounce window and its limit, for window_due
--
-- Returns one row per window that still existed:
--
--   queued          a task is queued (task_id), or an already queued task covers the messages
--   agent_offline   the agent has no runtime: a notice is put into the outbox, the messages stay
--   agent_archived  the agent is archived: likewise
--   empty           all its messages were handed out or answered already: no task
--   not_due         the window was extended meanwhile; remaining_ms says by how much
--   busy            another transaction holds the session's row: try again soon. Not with p_force, which waits
--   fenced          this replica no longer owns the installation: nothing was written
--
-- The tasks get their turns in the queue here (see gateway.agent_task). Calls at the same time may give a person the
-- same turn twice.
-- Locks: installations (FOR KEY SHARE), sessions (FOR NO KEY UPDATE), both in key order, then windows.
-- Planner settings: see ingest_messages.
CREATE OR REPLACE FUNCTION gateway.flush_windows(
    p_installation bigint[], p_generation bigint[], p_session bigint[], p_force boolean, p_silence interval,
    p_max_wait interval
) RETURNS TABLE (session_id bigint, outcome text, task_id bigint, remaining_ms bigint)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
SET search_path = pg_catalog, pg_temp
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
        SELECT p.installation_id, p.session_id, a.id AS agent_id, a.name AS agent_name, a.runtime_id,
            s.last_user_position, CASE
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
    ), ready AS MATERIALIZED (
        SELECT o.installation_id, o.session_id, o.agent_id, o.runtime_id,
            coalesce((SELECT m.sender FROM gateway.chat_message m WHERE m.installation_id = o.installation_id
                AND m.session_id = o.session_id AND m.position = o.last_user_position), '') AS person
        FROM open o WHERE o.outcome = 'queued'
    ), head AS MATERIALIZED (
        SELECT r.runtime_id, (SELECT t.turn FROM gateway.agent_task t
            WHERE t.status = 'queued' AND t.runtime_id = r.runtime_id AND t.runtime_id <> ''
            ORDER BY t.runtime_id, t.turn, t.created_at, t.id LIMIT 1) AS turn
        FROM (SELECT DISTINCT r.runtime_id FROM ready r) r
    ), task AS (
        INSERT INTO gateway.agent_task AS t (installation_id, session_id, agent_id, runtime_id, person, turn)
        SELECT r.installation_id, r.session_id, r.agent_id, r.runtime_id, r.person,
            greatest(0, h.turn, (SELECT t.turn FROM gateway.agent_task t
                WHERE t.status = 'queued' AND t.installation_id = r.installation_id AND t.person = r.person
                    AND t.person <> ''
                ORDER BY t.installation_id DESC, t.person DESC, t.turn DESC LIMIT 1) + 1)
            + row_number() OVER (PARTITION BY r.installation_id, r.person ORDER BY r.session_id) - 1
        FROM ready r JOIN head h ON h.runtime_id = r.runtime_id
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
    -- A CTE that is not referenced does not run, unless it writes.
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
