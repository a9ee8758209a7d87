-- Claims the oldest claimable task of a runtime, of one installation where one is given; no row when there is none.
-- messages: user messages of one context after the last answered one, in order (see hand_out), as
-- [{position, lark_message_id, sender, content, created_at}]; commands are none. context: which /new the messages stand
-- after, by its position; 0: none. A worker that remembers a session forgets it when the context changes. group_context:
-- what was said in the group before, by others: [{lark_message_id, sender, from: user or bot, content, created_at}].
-- A task whose messages can't be handed out fails, its chat is told, and the next one is claimed.
CREATE OR REPLACE FUNCTION gateway.claim_task(
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
    v_found record;
BEGIN
    IF claim_task.worker IS NULL OR claim_task.worker = '' THEN
        RAISE EXCEPTION 'claim_task needs a worker name' USING ERRCODE = '22023';
    END IF;
    -- A lease that no timestamp can hold is the caller's fault, and must not fail a task below.
    IF claim_task.lease IS NULL OR clock_timestamp() + claim_task.lease IS NULL THEN
        RAISE EXCEPTION 'claim_task needs a lease' USING ERRCODE = '22023';
    END IF;
    PERFORM gateway.expire_claims(claim_task.runtime);
    LOOP
        v_task := NULL;
        -- All that touches the rows is in the block: rows that are locked outside of a subtransaction and updated inside get a
        -- multixact each, which cost 64 workers a fifth of their tasks.
        BEGIN
            -- Both rows at once, and neither waited for: who holds a session's lock may wait for its task's.
            IF claim_task.installation IS NULL THEN
                SELECT t AS task, s AS session INTO v_found
                FROM gateway.agent_task t
                JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
                WHERE t.status = 'queued' AND t.runtime_id = claim_task.runtime AND t.runtime_id <> ''
                    AND s.claimed_task_id IS NULL
                ORDER BY t.created_at, t.id LIMIT 1
                FOR NO KEY UPDATE OF t, s SKIP LOCKED;
            ELSE
                SELECT t AS task, s AS session INTO v_found
                FROM gateway.agent_task t
                JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
                WHERE t.status = 'queued' AND t.runtime_id = claim_task.runtime AND t.runtime_id <> ''
                    AND t.installation_id = claim_task.installation AND s.claimed_task_id IS NULL
                ORDER BY t.created_at, t.id LIMIT 1
                FOR NO KEY UPDATE OF t, s SKIP LOCKED;
            END IF;
            EXIT WHEN NOT FOUND;
            v_task := v_found.task;
            RETURN QUERY SELECT * FROM gateway.hand_out(v_task, v_found.session, claim_task.worker, claim_task.lease);
            EXIT WHEN FOUND;
        -- The classes that speak of this task's rows (22, 23, 54, XX). What speaks of the server goes to the worker, which asks
        -- again.
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR internal_error THEN
            -- Not of a task: of the search for one.
            IF v_task.id IS NULL THEN
                RAISE;
            END IF;
            -- The locks went with the block: somebody else may have it by now.
            PERFORM FROM gateway.agent_task t
            JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
            WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id AND t.status = 'queued'
                AND s.claimed_task_id IS NULL
            FOR NO KEY UPDATE OF t, s SKIP LOCKED;
            IF FOUND THEN
                PERFORM gateway.finish_failed(v_task, format('its messages could not be read (SQLSTATE %s)', SQLSTATE));
            END IF;
        END;
    END LOOP;
END $$;
