-- Claims the next claimable task of a runtime for a worker; returns no row when there is none. Persons take turns (see
-- gateway.agent_task): one with many topics keeps nobody else waiting. Within a turn the oldest task is the next.
--
--   runtime        the runtime whose tasks are claimed
--   worker         the claim's owner; the other worker functions check it
--   lease          visibility timeout: how long the claim lasts without extend_task; at most a day
--   installation   NULL means the tasks of all installations
--   token          a secret of the worker's choice. The claim can be extended, completed, failed or returned with it
--                  alone: a worker's name is no secret. Only a role with the rights of the schema's owner may leave it
--                  out
--
-- Returns the task and what the worker needs to run it:
--
--   messages        unanswered user messages of one context, in order, without commands (see hand_out):
--                   [{position, lark_message_id, sender, content, created_at}]. The first one has omitted_before
--                   where older ones were too many: how many were left out
--   context         the position of the /new that began the context, 0 for none. A worker that remembers a session
--                   forgets it when the context changes
--   group_context   what was said in the group before: [{lark_message_id, sender, from: self, bot or user, is_member,
--                   content, created_at}]
--
-- Gives expired claims of the runtime back first. A task whose messages can't be handed out fails, its chat is told,
-- and the next task is claimed. Raises 22023 when worker, lease or token is missing, and 42501 when the role may not
-- claim tasks of the runtime (see add_worker_role).
-- Locks: the task and its session together (FOR NO KEY UPDATE SKIP LOCKED), so the claim never waits for either.
-- Public worker function. Planner settings: see ingest_messages.
CREATE OR REPLACE FUNCTION gateway.claim_task(
    runtime text, worker text, lease interval DEFAULT '60 seconds', installation bigint DEFAULT NULL,
    token text DEFAULT NULL
) RETURNS TABLE (
    task_id bigint, session_id bigint, workspace text, agent text, chat_id text, chat_type text, attempt int,
    messages jsonb, context bigint, group_context jsonb
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET plan_cache_mode = force_generic_plan
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_task gateway.agent_task;
    v_found record;
BEGIN
    IF claim_task.worker IS NULL OR claim_task.worker = '' THEN
        RAISE EXCEPTION 'claim_task needs a worker name' USING ERRCODE = '22023';
    END IF;
    IF claim_task.lease IS NULL OR claim_task.lease < '0' OR claim_task.lease > '1 day' THEN
        RAISE EXCEPTION 'claim_task needs a lease of at most a day' USING ERRCODE = '22023',
            HINT = 'a longer run calls extend_task';
    END IF;
    PERFORM gateway.check_worker_role(claim_task.token, claim_task.runtime);
    PERFORM gateway.expire_claims(claim_task.runtime);
    LOOP
        v_task := NULL;
        -- Lock and update belong to the same subtransaction. A row that is locked outside of it and updated inside gets
        -- a multixact, which cost 64 workers a fifth of their throughput.
        BEGIN
            -- Locks both rows and waits for neither: the holder of a session's lock may be waiting for the task's lock.
            IF claim_task.installation IS NULL THEN
                SELECT t AS task, s AS session INTO v_found
                FROM gateway.agent_task t
                JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
                WHERE t.status = 'queued' AND t.runtime_id = claim_task.runtime AND t.runtime_id <> ''
                    AND s.claimed_task_id IS NULL
                ORDER BY t.turn, t.created_at, t.id LIMIT 1
                FOR NO KEY UPDATE OF t, s SKIP LOCKED;
            ELSE
                SELECT t AS task, s AS session INTO v_found
                FROM gateway.agent_task t
                JOIN gateway.chat_session s ON s.installation_id = t.installation_id AND s.id = t.session_id
                WHERE t.status = 'queued' AND t.runtime_id = claim_task.runtime AND t.runtime_id <> ''
                    AND t.installation_id = claim_task.installation AND s.claimed_task_id IS NULL
                ORDER BY t.turn, t.created_at, t.id LIMIT 1
                FOR NO KEY UPDATE OF t, s SKIP LOCKED;
            END IF;
            EXIT WHEN NOT FOUND;
            v_task := v_found.task;
            RETURN QUERY SELECT * FROM gateway.hand_out(v_task, v_found.session, claim_task.worker, claim_task.lease,
                gateway.claim_key(claim_task.token));
            EXIT WHEN FOUND;
        -- These classes (22, 23, 54, XX) are about this task's rows. Errors about the server reach the worker, which
        -- retries.
        EXCEPTION WHEN data_exception OR integrity_constraint_violation OR program_limit_exceeded OR internal_error THEN
            -- The search itself failed: there is no task to blame.
            IF v_task.id IS NULL THEN
                RAISE;
            END IF;
            -- The rollback of the block released the locks: another worker may have claimed the task by now.
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
