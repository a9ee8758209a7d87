-- A database as the version before the functions had files of their own left it: migrations 1 to 16, and rows of every kind, among
-- them an open window, queued, claimed, failed and completed tasks, and unsent and sent rows of the outbox. Made with pg_dump.
SET check_function_bodies = off;

CREATE SCHEMA gateway;

CREATE FUNCTION gateway.acquire_leases(p_holder text, p_dead_holders text[], p_app_ids text[], p_ttl interval) RETURNS TABLE(installation_id bigint, app_id text, generation bigint, bot_open_id text, bot_union_id text)
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION gateway.announce_installation() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NOTIFY gateway_installation;
    RETURN NULL;
END $$;

CREATE FUNCTION gateway.apply_agent(p_workspace text, p_agent text, p_runtime text, p_is_listed boolean) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_workspace bigint;
    v_agent bigint;
BEGIN
    INSERT INTO gateway.workspace (name) VALUES (p_workspace) ON CONFLICT ON CONSTRAINT workspace_name_unique DO NOTHING;
    SELECT w.id INTO v_workspace FROM gateway.workspace w WHERE w.name = p_workspace;
    INSERT INTO gateway.agent (workspace_id, name, runtime_id) VALUES (v_workspace, p_agent, p_runtime)
    ON CONFLICT ON CONSTRAINT agent_name_unique DO NOTHING;
    SELECT a.id INTO v_agent FROM gateway.agent a WHERE a.workspace_id = v_workspace AND a.name = p_agent;
    -- An agent that only an installation names keeps the runtime it has.
    IF p_is_listed THEN
        UPDATE gateway.agent a SET runtime_id = p_runtime
        WHERE a.id = v_agent AND a.runtime_id IS DISTINCT FROM p_runtime;
    END IF;
    RETURN v_agent;
END $$;

CREATE FUNCTION gateway.apply_configuration(p_agents jsonb, p_installations jsonb) RETURNS TABLE(kind text, name text, change text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_agent record;
    v_installation record;
    v_result record;
    v_named bigint[] := '{}';
BEGIN
    -- Replicas that start together apply the same file one after another.
    PERFORM pg_advisory_xact_lock(7810759452391891044);
    FOR v_agent IN SELECT * FROM jsonb_to_recordset(p_agents) AS r (workspace text, name text, runtime text) LOOP
        v_named := v_named || gateway.apply_agent(v_agent.workspace, v_agent.name, v_agent.runtime, true);
    END LOOP;
    FOR v_installation IN SELECT * FROM jsonb_to_recordset(p_installations)
        AS r (app_id text, workspace text, agent text, domain text, locale text, access text) LOOP
        SELECT * INTO v_result FROM gateway.put_installation(v_installation.app_id, v_installation.workspace,
            v_installation.agent, v_installation.domain, v_installation.locale, v_installation.access, 'config');
        v_named := v_named || (SELECT i.agent_id FROM gateway.installation i WHERE i.id = v_result.installation_id);
        IF v_result.was = 'new' OR v_result.was <> v_result.status OR v_result.status = 'revoked' THEN
            RETURN QUERY SELECT 'installation', v_installation.app_id, CASE WHEN v_result.was = 'new' THEN 'added'
                WHEN v_result.status = 'revoked' THEN 'stays_revoked' ELSE 'restored' END;
        END IF;
    END LOOP;
    FOR v_installation IN SELECT i.app_id FROM gateway.installation i
        WHERE i.origin = 'config' AND i.status = 'active'
            AND i.app_id NOT IN (SELECT r ->> 'app_id' FROM jsonb_array_elements(p_installations) r)
        ORDER BY i.id LOOP
        PERFORM gateway.revoke_installation(v_installation.app_id, 'config');
        RETURN QUERY SELECT 'installation', v_installation.app_id, 'revoked';
    END LOOP;

    RETURN QUERY
    UPDATE gateway.agent a SET archived_at = NULL, archived_by = NULL, origin = 'config'
    WHERE a.id = ANY (v_named) AND a.archived_by = 'config'
    RETURNING 'agent', a.name, 'restored';
    UPDATE gateway.agent a SET origin = 'config'
    FROM jsonb_to_recordset(p_agents) AS r (workspace text, name text), gateway.workspace w
    WHERE w.name = r.workspace AND a.workspace_id = w.id AND a.name = r.name AND a.origin <> 'config';
    -- An agent that a command's installation needs stays.
    RETURN QUERY
    UPDATE gateway.agent a SET archived_at = clock_timestamp(), archived_by = 'config'
    WHERE a.origin = 'config' AND a.archived_at IS NULL AND a.id <> ALL (v_named)
        AND NOT EXISTS (SELECT FROM gateway.installation i WHERE i.agent_id = a.id AND i.status = 'active')
    RETURNING 'agent', a.name, 'archived';
END $$;

CREATE FUNCTION gateway.apply_installation(p_app_id text, p_workspace text, p_agent text, p_domain text, p_locale text, p_access text) RETURNS TABLE(installation_id bigint, status text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_agent bigint := gateway.apply_agent(p_workspace, p_agent, 'default', false);
    v_workspace bigint := (SELECT w.id FROM gateway.workspace w WHERE w.name = p_workspace);
    v_owner text;
BEGIN
    SELECT w.name INTO v_owner FROM gateway.installation i JOIN gateway.workspace w ON w.id = i.workspace_id
    WHERE i.app_id = p_app_id AND i.workspace_id <> v_workspace AND i.status = 'active';
    IF v_owner IS NOT NULL THEN
        RAISE EXCEPTION 'app % is installed for workspace %', p_app_id, v_owner USING ERRCODE = 'GW002';
    END IF;
    RETURN QUERY
    INSERT INTO gateway.installation AS i (app_id, workspace_id, agent_id, domain, locale, access)
    VALUES (p_app_id, v_workspace, v_agent, p_domain, p_locale, p_access)
    ON CONFLICT ON CONSTRAINT installation_app_unique DO UPDATE
        SET workspace_id = v_workspace, agent_id = v_agent, domain = p_domain, locale = p_locale, access = p_access
    RETURNING i.id, i.status;
END $$;

CREATE FUNCTION gateway.approve_code(p_code_sha256 bytea, p_member text) RETURNS TABLE(outcome text, open_id text, member text, workspace text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_token gateway.binding_token;
    v_workspace text;
    v_member text;
    v_outcome text;
BEGIN
    SELECT * INTO v_token FROM gateway.binding_token t WHERE t.token_sha256 = p_code_sha256 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN QUERY SELECT 'unknown', NULL::text, NULL::text, NULL::text;
        RETURN;
    END IF;
    SELECT w.name INTO v_workspace FROM gateway.installation i JOIN gateway.workspace w ON w.id = i.workspace_id
    WHERE i.id = v_token.installation_id;
    v_member := coalesce(nullif(p_member, ''), v_token.open_id);
    IF v_token.used_at IS NOT NULL THEN
        v_outcome := 'used';
    ELSIF v_token.expires_at < clock_timestamp() THEN
        v_outcome := 'expired';
    ELSE
        UPDATE gateway.binding_token t SET used_at = clock_timestamp()
        WHERE t.installation_id = v_token.installation_id AND t.token_sha256 = p_code_sha256;
        v_outcome := CASE WHEN gateway.bind_sender(v_token.installation_id, v_token.open_id, v_member)
            THEN 'bound' ELSE 'already_bound' END;
    END IF;
    RETURN QUERY SELECT v_outcome, v_token.open_id, v_member, v_workspace;
END $$;

CREATE FUNCTION gateway.bind_sender(p_installation bigint, p_open_id text, p_member text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_workspace gateway.workspace;
BEGIN
    SELECT w.* INTO v_workspace FROM gateway.installation i JOIN gateway.workspace w ON w.id = i.workspace_id
    WHERE i.id = p_installation;
    INSERT INTO gateway.member (workspace_id, name, origin) VALUES (v_workspace.id, p_member, 'command')
    ON CONFLICT ON CONSTRAINT member_name_unique DO NOTHING;
    INSERT INTO gateway.member_binding (installation_id, open_id, workspace_id, member_id)
    SELECT p_installation, p_open_id, m.workspace_id, m.id FROM gateway.member m
    WHERE m.workspace_id = v_workspace.id AND m.name = p_member
    ON CONFLICT (installation_id, open_id) DO NOTHING;
    IF NOT FOUND THEN RETURN false; END IF;
    INSERT INTO gateway.outbox (installation_id, kind, receive_id_type, receive_id, payload)
    VALUES (p_installation, 'notice', 'open_id', p_open_id,
        jsonb_build_object('notice', 'bound', 'member', p_member, 'workspace', v_workspace.name));
    PERFORM pg_notify('gateway_outbox', p_installation::text);
    RETURN true;
END $$;

CREATE FUNCTION gateway.check_leases(p_holder text) RETURNS TABLE(installation_id bigint, generation bigint, revision bigint, is_wanted boolean)
    LANGUAGE sql STABLE
    AS $$
    SELECT i.id, i.lease_generation, i.revision, i.wanted_by <> p_holder AND r.expires_at > clock_timestamp()
    FROM gateway.installation i LEFT JOIN gateway.replica r ON r.holder = i.wanted_by
    WHERE i.lease_holder = p_holder AND i.status = 'active'
$$;

CREATE FUNCTION gateway.choose_leases(p_holder text, p_dead_holders text[], p_app_ids text[], p_key_ids text[], p_used bigint[], p_ttl interval, p_grace interval) RETURNS TABLE(installation_id bigint, app_id text, generation bigint, revision bigint, domain text, sealed_secret bytea, sealed_key_id text, bot_open_id text, bot_union_id text)
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION gateway.claim_task(runtime text, worker text, lease interval DEFAULT '00:01:00'::interval, installation bigint DEFAULT NULL::bigint) RETURNS TABLE(task_id bigint, session_id bigint, workspace text, agent text, chat_id text, chat_type text, attempt integer, messages jsonb, context bigint, group_context jsonb)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_bitmapscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_sort TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
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

CREATE FUNCTION gateway.complete_task(task_id bigint, worker text, reply text) RETURNS void
    LANGUAGE plpgsql
    AS $_$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(complete_task.task_id, complete_task.worker);
    v_position bigint;
    v_trigger text;
    v_has_text boolean := coalesce(reply, '') !~ '^\s*$';
BEGIN
    UPDATE gateway.agent_task t SET status = 'completed', finished_at = clock_timestamp(), claim_expires_at = NULL
    WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
    UPDATE gateway.chat_session s
    SET claimed_task_id = NULL, answered_position = greatest(s.answered_position, v_task.handed_position),
        last_position = s.last_position + CASE WHEN v_has_text THEN 1 ELSE 0 END, updated_at = clock_timestamp()
    WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id
    RETURNING s.last_position INTO v_position;
    IF v_has_text THEN
        INSERT INTO gateway.chat_message (installation_id, session_id, position, role, content, created_at)
        VALUES (v_task.installation_id, v_task.session_id, v_position, 'assistant', reply, clock_timestamp());
        SELECT m.lark_message_id INTO v_trigger FROM gateway.chat_message m
        WHERE m.installation_id = v_task.installation_id AND m.session_id = v_task.session_id
            AND m.position = v_task.handed_position;
        PERFORM gateway.put_outbox_for_session(v_task.installation_id, v_task.session_id, 'reply',
            jsonb_build_object('text', reply), v_trigger);
        PERFORM pg_notify('gateway_outbox', v_task.installation_id::text);
    END IF;
    -- A task that was queued while this one ran can be claimed now.
    PERFORM pg_notify('gateway_task', v_task.runtime_id);
END $_$;

CREATE FUNCTION gateway.count_revision() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.revision := OLD.revision + 1;
    RETURN NEW;
END $$;

CREATE FUNCTION gateway.drop_outbox(p_id uuid) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE gateway.outbox o
    SET dead_at = clock_timestamp(), last_error = 'dropped by command', taken_generation = NULL
    WHERE o.id = p_id AND o.sent_at IS NULL AND o.dead_at IS NULL;
    RETURN FOUND;
END $$;

CREATE FUNCTION gateway.expire_claims(p_runtime text DEFAULT NULL::text) RETURNS integer
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION gateway.extend_task(task_id bigint, worker text) RETURNS timestamp with time zone
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(extend_task.task_id, extend_task.worker);
    v_until timestamptz := clock_timestamp() + v_task.lease;
BEGIN
    UPDATE gateway.agent_task t SET claim_expires_at = v_until
    WHERE t.installation_id = v_task.installation_id AND t.id = v_task.id;
    RETURN v_until;
END $$;

CREATE FUNCTION gateway.fail_task(task_id bigint, worker text, error text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(fail_task.task_id, fail_task.worker);
BEGIN
    PERFORM gateway.finish_failed(v_task, coalesce(nullif(btrim(fail_task.error), ''), 'no reason given'));
    PERFORM pg_notify('gateway_task', v_task.runtime_id);
END $$;

CREATE FUNCTION gateway.find_link(p_link_sha256 bytea) RETURNS TABLE(state text, app_id text, open_id text, agent text, workspace text, locale text, member text, tries_left integer)
    LANGUAGE sql STABLE
    AS $$
    SELECT gateway.link_state(t), i.app_id, t.open_id, a.name, w.name, i.locale,
        CASE WHEN t.expires_at > clock_timestamp() THEN m.name END, gateway.most_wrong_codes() - t.wrong_codes
    FROM gateway.binding_token t
    JOIN gateway.installation i ON i.id = t.installation_id
    JOIN gateway.agent a ON a.id = i.agent_id
    JOIN gateway.workspace w ON w.id = i.workspace_id
    LEFT JOIN gateway.member_binding b ON b.installation_id = t.installation_id AND b.open_id = t.open_id
    LEFT JOIN gateway.member m ON m.workspace_id = b.workspace_id AND m.id = b.member_id
    WHERE t.link_sha256 = p_link_sha256
$$;

CREATE FUNCTION gateway.find_or_create_sessions(p_installation bigint[], p_chat_id text[], p_thread_id text[], p_chat_type text[], p_member bigint[], p_verdict text[]) RETURNS bigint[]
    LANGUAGE plpgsql
    AS $$
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

CREATE TABLE gateway.agent_task (
    id bigint NOT NULL,
    installation_id bigint NOT NULL,
    session_id bigint NOT NULL,
    agent_id bigint NOT NULL,
    runtime_id text NOT NULL,
    status text DEFAULT 'queued'::text NOT NULL,
    worker text,
    attempt integer DEFAULT 1 NOT NULL,
    handed_position bigint,
    lease interval,
    claim_expires_at timestamp with time zone,
    error text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    claimed_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT agent_task_status CHECK ((status = ANY (ARRAY['queued'::text, 'claimed'::text, 'completed'::text, 'failed'::text, 'cancelled'::text])))
);

CREATE FUNCTION gateway.finish_failed(p_task gateway.agent_task, p_error text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE gateway.agent_task t SET status = 'failed', finished_at = clock_timestamp(), error = p_error
    WHERE t.installation_id = p_task.installation_id AND t.id = p_task.id;
    UPDATE gateway.chat_session s SET claimed_task_id = NULL
    WHERE s.installation_id = p_task.installation_id AND s.id = p_task.session_id;
    PERFORM gateway.put_outbox_for_session(p_task.installation_id, p_task.session_id, 'notice',
        jsonb_build_object('notice', 'run_failed', 'reason', left(p_error, 300),
            'agent', (SELECT a.name FROM gateway.agent a WHERE a.id = p_task.agent_id)), NULL);
    PERFORM pg_notify('gateway_outbox', p_task.installation_id::text);
END $$;

CREATE FUNCTION gateway.flush_windows(p_installation bigint[], p_generation bigint[], p_session bigint[], p_force boolean, p_silence interval, p_max_wait interval) RETURNS TABLE(session_id bigint, outcome text, task_id bigint, remaining_ms bigint)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
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

CREATE FUNCTION gateway.forget_former_member() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM gateway.former_member f WHERE f.installation_id = NEW.installation_id AND f.open_id = NEW.open_id;
    RETURN NULL;
END $$;

CREATE FUNCTION gateway.hold_leases(p_holder text, p_ttl interval) RETURNS TABLE(installation_id bigint, generation bigint, revision bigint, is_wanted boolean)
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION gateway.hold_task(p_task bigint, p_worker text) RETURNS gateway.agent_task
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_task gateway.agent_task;
BEGIN
    SELECT * INTO v_task FROM gateway.agent_task t WHERE t.id = p_task;
    IF FOUND THEN
        PERFORM FROM gateway.chat_session s
        WHERE s.installation_id = v_task.installation_id AND s.id = v_task.session_id FOR NO KEY UPDATE;
        SELECT * INTO v_task FROM gateway.agent_task t
        WHERE t.installation_id = v_task.installation_id AND t.id = p_task FOR UPDATE;
    END IF;
    IF v_task.status IS DISTINCT FROM 'claimed' OR v_task.worker IS DISTINCT FROM p_worker THEN
        PERFORM gateway.refuse_task(p_task, p_worker);
    END IF;
    RETURN v_task;
END $$;

CREATE FUNCTION gateway.identify_senders(p_installation bigint[], p_sender text[], p_verdict text[], p_member bigint[]) RETURNS TABLE(verdicts text[], members bigint[])
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION gateway.ingest_messages(p_installation bigint[], p_generation bigint[], p_app_id text[], p_message_id text[], p_chat_id text[], p_thread_id text[], p_chat_type text[], p_sender text[], p_content text[], p_sent_at_ms bigint[], p_addressed boolean[], p_fault text[], p_silence interval, p_max_wait interval, p_skips_busy boolean, p_command text[] DEFAULT NULL::text[], p_title text[] DEFAULT NULL::text[], p_description text[] DEFAULT NULL::text[]) RETURNS TABLE(ordinal integer, verdict text, session_id bigint, message_position bigint, window_open boolean)
    LANGUAGE plpgsql
    SET lock_timeout TO '800ms'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
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

CREATE FUNCTION gateway.invite_member(p_workspace text, p_member text, p_open_id text, p_code_sha256 bytea, p_valid interval) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_workspace bigint;
BEGIN
    SELECT w.id INTO v_workspace FROM gateway.workspace w WHERE w.name = p_workspace;
    IF NOT FOUND THEN RETURN false; END IF;
    DELETE FROM gateway.invitation v WHERE v.workspace_id = v_workspace AND (
        v.member = p_member AND v.used_at IS NULL OR v.expires_at < clock_timestamp() - interval '30 days');
    INSERT INTO gateway.invitation (workspace_id, member, open_id, code_sha256, expires_at)
    VALUES (v_workspace, p_member, p_open_id, p_code_sha256, clock_timestamp() + p_valid);
    RETURN true;
END $$;

CREATE FUNCTION gateway.is_answered_by_runs(p_command text, p_content text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT p_command IS NULL OR (p_command = 'new' AND p_content <> '')
$$;

CREATE FUNCTION gateway.is_typing_over(p_installation bigint, p_session bigint, p_position bigint) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT NOT EXISTS (
        SELECT FROM gateway.chat_session s
        WHERE s.installation_id = p_installation AND s.id = p_session AND p_position > s.answered_position
            AND (s.claimed_task_id IS NOT NULL
                OR EXISTS (SELECT FROM gateway.pending_run p
                    WHERE p.installation_id = p_installation AND p.session_id = p_session)
                OR EXISTS (SELECT FROM gateway.agent_task t
                    WHERE t.installation_id = p_installation AND t.session_id = p_session AND t.status = 'queued')))
$$;

CREATE FUNCTION gateway.issue_key(p_workspace text, p_number bigint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT coalesce(nullif(left(upper(regexp_replace(p_workspace, '[^A-Za-z0-9]', '', 'g')), 10), ''), 'ISSUE')
        || '-' || p_number
$$;

CREATE FUNCTION gateway.leave_out_busy(p_installation bigint[], p_message_id text[], p_verdict text[], p_session bigint[]) RETURNS TABLE(verdicts text[], sessions bigint[])
    LANGUAGE plpgsql
    AS $$
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

CREATE TABLE gateway.binding_token (
    installation_id bigint NOT NULL,
    token_sha256 bytea NOT NULL,
    open_id text NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    link_sha256 bytea,
    wrong_codes integer DEFAULT 0 NOT NULL
);

CREATE FUNCTION gateway.link_state(p_token gateway.binding_token) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT CASE WHEN p_token.used_at IS NOT NULL THEN 'used'
        WHEN p_token.expires_at < clock_timestamp() THEN 'expired'
        WHEN p_token.wrong_codes >= gateway.most_wrong_codes() THEN 'blocked'
        WHEN NOT EXISTS (SELECT FROM gateway.installation i
            WHERE i.id = p_token.installation_id AND i.status = 'active') THEN 'revoked'
        ELSE 'open' END
$$;

CREATE FUNCTION gateway.list_invitations(p_link_sha256 bytea) RETURNS TABLE(invitation bigint, code_sha256 bytea)
    LANGUAGE sql STABLE
    AS $$
    SELECT v.id, v.code_sha256
    FROM gateway.binding_token t
    JOIN gateway.installation i ON i.id = t.installation_id
    JOIN gateway.invitation v ON v.workspace_id = i.workspace_id
    WHERE t.link_sha256 = p_link_sha256
$$;

CREATE FUNCTION gateway.make_binding_token(p_installation bigint, p_code_sha256 bytea, p_link_sha256 bytea, p_open_id text) RETURNS void
    LANGUAGE sql
    AS $$
    -- Long enough to say «used» or «expired» instead of «unknown».
    DELETE FROM gateway.binding_token t WHERE t.expires_at < clock_timestamp() - interval '1 day';
    INSERT INTO gateway.binding_token (installation_id, token_sha256, link_sha256, open_id, expires_at)
    VALUES (p_installation, p_code_sha256, p_link_sha256, p_open_id, clock_timestamp() + interval '15 minutes')
$$;

CREATE FUNCTION gateway.most_wrong_codes() RETURNS integer
    LANGUAGE sql IMMUTABLE
    AS $$SELECT 5$$;

CREATE FUNCTION gateway.put_installation(p_app_id text, p_workspace text, p_agent text, p_domain text, p_locale text, p_access text, p_origin text) RETURNS TABLE(installation_id bigint, status text, was text)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
DECLARE
    v_known gateway.installation;
    v_agent_name text;
    v_is_archived boolean;
    v_workspace_name text;
    v_id bigint;
    v_is_new_agent boolean := NOT EXISTS (
        SELECT FROM gateway.agent a JOIN gateway.workspace w ON w.id = a.workspace_id
        WHERE w.name = p_workspace AND a.name = p_agent);
BEGIN
    SELECT i.* INTO v_known FROM gateway.installation i WHERE i.app_id = p_app_id FOR NO KEY UPDATE;
    IF v_known.id IS NOT NULL THEN
        SELECT a.name, a.archived_at IS NOT NULL, w.name INTO v_agent_name, v_is_archived, v_workspace_name
        FROM gateway.agent a JOIN gateway.workspace w ON w.id = v_known.workspace_id WHERE a.id = v_known.agent_id;
        IF v_known.status = 'active' AND v_workspace_name <> p_workspace THEN
            RAISE EXCEPTION 'app % is installed for workspace %', p_app_id, v_workspace_name USING ERRCODE = 'GW002';
        END IF;
        -- The file may give an app to another agent of its workspace; a command revokes it first.
        IF v_known.status = 'active' AND p_origin = 'command' AND v_agent_name <> p_agent THEN
            RAISE EXCEPTION 'app % is installed for the % % of this workspace', p_app_id,
                CASE WHEN v_is_archived THEN 'archived agent' ELSE 'agent' END, v_agent_name USING ERRCODE = 'GW002';
        END IF;
    END IF;
    SELECT a.installation_id INTO v_id
    FROM gateway.apply_installation(p_app_id, p_workspace, p_agent, p_domain, p_locale, p_access) a;
    IF v_is_new_agent THEN
        UPDATE gateway.agent a SET origin = p_origin FROM gateway.workspace w
        WHERE w.id = a.workspace_id AND w.name = p_workspace AND a.name = p_agent;
    END IF;
    RETURN QUERY
    UPDATE gateway.installation i
    SET origin = p_origin,
        -- The file takes back what the file revoked, a command takes back anything.
        status = CASE WHEN p_origin = 'command' OR i.revoked_by = 'config' THEN 'active' ELSE i.status END,
        revoked_by = CASE WHEN p_origin = 'command' OR i.revoked_by = 'config' THEN NULL ELSE i.revoked_by END,
        -- The file brings the secret itself.
        sealed_secret = CASE WHEN p_origin = 'command' THEN i.sealed_secret END,
        sealed_key_id = CASE WHEN p_origin = 'command' THEN i.sealed_key_id END
    WHERE i.id = v_id
    RETURNING i.id, i.status, CASE WHEN v_known.id IS NULL THEN 'new' ELSE v_known.status END;
END $$;

CREATE FUNCTION gateway.put_outbox_for_session(p_installation bigint, p_session bigint, p_kind text, p_payload jsonb, p_reply_to text) RETURNS void
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
BEGIN
    IF p_payload ->> 'notice' IN ('agent_offline', 'agent_archived', 'run_failed') AND EXISTS (
        SELECT FROM gateway.outbox o
        WHERE o.installation_id = p_installation AND o.session_id = p_session AND o.kind = 'notice'
            AND o.created_at > now() - interval '1 hour' AND o.payload = p_payload AND o.dead_at IS NULL)
    THEN
        RETURN;
    END IF;
    INSERT INTO gateway.outbox (installation_id, session_id, kind, receive_id_type, receive_id, reply_to, in_thread,
        payload)
    SELECT p_installation, p_session, p_kind, 'chat_id', b.chat_id,
        CASE b.chat_type WHEN 'topic' THEN coalesce(p_reply_to, m.lark_message_id) WHEN 'group' THEN p_reply_to END,
        b.chat_type = 'topic', p_payload
    FROM gateway.chat_binding b
    LEFT JOIN LATERAL (
        SELECT c.lark_message_id FROM gateway.chat_message c
        WHERE c.installation_id = p_installation AND c.session_id = p_session AND c.role = 'user'
        ORDER BY c.position DESC LIMIT 1) m ON true
    WHERE b.installation_id = p_installation AND b.session_id = p_session;
END $$;

CREATE FUNCTION gateway.put_secret(p_app_id text, p_sealed bytea, p_key_id text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE gateway.installation i SET sealed_secret = p_sealed, sealed_key_id = p_key_id WHERE i.app_id = p_app_id;
    RETURN FOUND;
END $$;

CREATE FUNCTION gateway.reconsider_sessions() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.runtime_id IS NOT NULL AND NEW.archived_at IS NULL THEN
        UPDATE gateway.agent_task t SET runtime_id = NEW.runtime_id WHERE t.agent_id = NEW.id AND t.status = 'queued';
    ELSE
        -- The sessions first: it is the order in which everybody else takes these locks.
        PERFORM FROM gateway.chat_session s
        JOIN gateway.agent_task t ON t.installation_id = s.installation_id AND t.session_id = s.id
        WHERE t.agent_id = NEW.id AND t.status IN ('queued', 'claimed')
        ORDER BY s.installation_id, s.id FOR NO KEY UPDATE OF s;
        WITH withdrawn AS (
            UPDATE gateway.agent_task t SET status = 'cancelled', finished_at = now(), error = 'the agent went away'
            FROM gateway.agent_task before
            WHERE t.agent_id = NEW.id AND before.installation_id = t.installation_id AND before.id = t.id
                AND (t.status = 'queued' OR (t.status = 'claimed' AND NEW.archived_at IS NOT NULL))
            RETURNING t.installation_id, t.session_id, before.status AS was
        ), released AS (
            UPDATE gateway.chat_session s SET claimed_task_id = NULL, handed_position = s.answered_position
            FROM withdrawn w
            WHERE w.was = 'claimed' AND s.installation_id = w.installation_id AND s.id = w.session_id
        )
        INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
        SELECT DISTINCT w.installation_id, w.session_id, now(), now() FROM withdrawn w
        ON CONFLICT (installation_id, session_id) DO NOTHING;
        NOTIFY gateway_window;
        RETURN NULL;
    END IF;
    INSERT INTO gateway.pending_run (installation_id, session_id, first_at, due_at)
    SELECT s.installation_id, s.id, now(), now()
    FROM gateway.installation i
    JOIN gateway.chat_session s ON s.installation_id = i.id
    WHERE i.agent_id = NEW.id AND s.last_user_position > greatest(s.handed_position, s.answered_position)
        AND NOT EXISTS (SELECT FROM gateway.agent_task t WHERE t.installation_id = s.installation_id
            AND t.session_id = s.id AND t.status = 'queued')
    ON CONFLICT (installation_id, session_id) DO NOTHING;
    NOTIFY gateway_window;
    RETURN NULL;
END $$;

CREATE FUNCTION gateway.record_connections(p_installation bigint[], p_generation bigint[], p_state text[], p_reason text[], p_age_ms bigint[], p_retry_in_ms bigint[]) RETURNS void
    LANGUAGE sql
    AS $$
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

CREATE FUNCTION gateway.record_drops(p_installation bigint[], p_app_id text[], p_message_id text[], p_chat_id text[], p_sender text[], p_verdict text[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION gateway.redeem_link(p_link_sha256 bytea, p_invitation bigint) RETURNS text
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_token gateway.binding_token;
    v_invitation gateway.invitation;
    v_state text;
    v_outcome text;
BEGIN
    SELECT * INTO v_token FROM gateway.binding_token t WHERE t.link_sha256 = p_link_sha256 FOR UPDATE;
    IF NOT FOUND THEN RETURN 'unknown'; END IF;
    v_state := gateway.link_state(v_token);
    IF v_state <> 'open' THEN RETURN v_state; END IF;
    IF EXISTS (SELECT FROM gateway.member_binding b
               WHERE b.installation_id = v_token.installation_id AND b.open_id = v_token.open_id) THEN
        RETURN 'already_bound';
    END IF;

    SELECT v.* INTO v_invitation FROM gateway.invitation v
    JOIN gateway.installation i ON i.workspace_id = v.workspace_id
    WHERE i.id = v_token.installation_id AND v.id = p_invitation FOR UPDATE OF v;
    v_outcome := CASE WHEN NOT FOUND THEN 'wrong_code'
        WHEN v_invitation.used_at IS NOT NULL THEN 'invitation_used'
        WHEN v_invitation.expires_at < clock_timestamp() THEN 'invitation_expired'
        WHEN v_invitation.open_id <> v_token.open_id THEN 'wrong_person'
        WHEN EXISTS (SELECT FROM gateway.member m
            JOIN gateway.member_binding b ON b.workspace_id = m.workspace_id AND b.member_id = m.id
            WHERE m.workspace_id = v_invitation.workspace_id AND m.name = v_invitation.member
                AND b.installation_id = v_token.installation_id) THEN 'member_taken' END;
    IF v_outcome IS NOT NULL THEN
        UPDATE gateway.binding_token t SET wrong_codes = t.wrong_codes + 1
        WHERE t.installation_id = v_token.installation_id AND t.token_sha256 = v_token.token_sha256;
        RETURN v_outcome;
    END IF;
    UPDATE gateway.binding_token t SET used_at = clock_timestamp()
    WHERE t.installation_id = v_token.installation_id AND t.token_sha256 = v_token.token_sha256;
    IF NOT gateway.bind_sender(v_token.installation_id, v_token.open_id, v_invitation.member) THEN
        RETURN 'already_bound';
    END IF;
    UPDATE gateway.invitation v SET used_at = clock_timestamp()
    WHERE v.workspace_id = v_invitation.workspace_id AND v.id = v_invitation.id;
    RETURN 'bound';
END $$;

CREATE FUNCTION gateway.refuse_task(p_task bigint, p_worker text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'task % is not claimed by worker %: its claim ran out, or it is finished', p_task, p_worker
        USING ERRCODE = 'GW001', HINT = 'throw this result away and claim the next task';
END $$;

CREATE FUNCTION gateway.release_lease(p_installation bigint, p_generation bigint, p_holder text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE gateway.installation i
    SET lease_holder = NULL, lease_expires_at = NULL, free_since = clock_timestamp(), connection_state = NULL,
        connection_reason = NULL, connection_since = NULL, connection_retry_at = NULL
    WHERE i.id = p_installation AND i.lease_generation = p_generation AND i.lease_holder = p_holder;
    RETURN FOUND;
END $$;

CREATE FUNCTION gateway.release_leases(p_holder text) RETURNS void
    LANGUAGE sql
    AS $$
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

CREATE FUNCTION gateway.remember_former_member() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO gateway.former_member (installation_id, open_id)
    SELECT b.installation_id, b.open_id FROM gateway.member_binding b
    WHERE b.workspace_id = OLD.workspace_id AND b.member_id = OLD.id
    ON CONFLICT (installation_id, open_id) DO UPDATE SET removed_at = now(), notified_at = NULL;
    RETURN OLD;
END $$;

CREATE FUNCTION gateway.renew_leases(p_holder text, p_ttl interval) RETURNS TABLE(installation_id bigint, generation bigint)
    LANGUAGE sql
    AS $$
    UPDATE gateway.installation i SET lease_expires_at = clock_timestamp() + p_ttl
    WHERE i.lease_holder = p_holder AND i.status = 'active'
    RETURNING i.id, i.lease_generation
$$;

CREATE FUNCTION gateway.report_progress(task_id bigint, worker text, progress text) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_task gateway.agent_task := gateway.hold_task(report_progress.task_id, report_progress.worker);
    v_text text := left(btrim(coalesce(report_progress.progress, '')), 2000);
BEGIN
    IF v_text = '' THEN RETURN; END IF;
    INSERT INTO gateway.progress AS p (installation_id, task_id, session_id, text)
    VALUES (v_task.installation_id, v_task.id, v_task.session_id, v_text)
    ON CONFLICT ON CONSTRAINT progress_pkey DO UPDATE SET text = EXCLUDED.text, version = p.version + 1;
    PERFORM pg_notify('gateway_progress', v_task.installation_id::text);
END $$;

CREATE FUNCTION gateway.retry_outbox(p_id uuid, p_app_id text) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    v_count bigint;
BEGIN
    UPDATE gateway.outbox o SET dead_at = NULL, attempts = 0, next_attempt_at = clock_timestamp()
    FROM gateway.installation i
    WHERE i.id = o.installation_id AND (p_app_id IS NULL OR i.app_id = p_app_id) AND o.sent_at IS NULL
        -- What is being sent right now is left alone.
        AND (o.dead_at IS NOT NULL OR o.taken_generation IS NULL)
        AND CASE WHEN p_id IS NULL THEN o.dead_at IS NOT NULL ELSE o.id = p_id END;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    NOTIFY gateway_outbox;
    RETURN v_count;
END $$;

CREATE FUNCTION gateway.return_claims(worker text) RETURNS integer
    LANGUAGE plpgsql
    AS $$
DECLARE
    -- Read once, as in expire_claims.
    v_now timestamptz := clock_timestamp();
    v_count int;
BEGIN
    -- expire_claims, which gives them back, counts an attempt: this one was none. What ran out by itself is left to it.
    UPDATE gateway.agent_task t SET claim_expires_at = '-infinity', attempt = t.attempt - 1
    WHERE t.status = 'claimed' AND t.worker = return_claims.worker AND t.claim_expires_at >= v_now;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

CREATE FUNCTION gateway.return_outbox(p_holder text, p_under_way uuid[]) RETURNS integer
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
DECLARE
    v_count int;
BEGIN
    UPDATE gateway.outbox o
    SET taken_generation = NULL, next_attempt_at = clock_timestamp(), attempts = o.attempts - 1
    FROM gateway.installation i
    WHERE i.lease_holder = p_holder AND o.installation_id = i.id AND o.sent_at IS NULL AND o.dead_at IS NULL
        AND o.taken_generation = i.lease_generation AND o.id <> ALL (p_under_way);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

CREATE FUNCTION gateway.revoke_installation(p_app_id text, p_by text) RETURNS boolean
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE gateway.installation i
    SET status = 'revoked', revoked_by = p_by, lease_holder = NULL, lease_expires_at = NULL,
        free_since = clock_timestamp(), wanted_by = NULL, connection_state = NULL, connection_reason = NULL,
        connection_since = NULL, connection_retry_at = NULL
    WHERE i.app_id = p_app_id AND i.status = 'active';
    RETURN FOUND;
END $$;

CREATE FUNCTION gateway.run_command(p_installation bigint, p_session bigint, p_position bigint, p_message_id text, p_sender text, p_content text, p_command text, p_title text, p_description text) RETURNS void
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
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
END $_$;

CREATE FUNCTION gateway.settle_outbox(p_installation bigint, p_generation bigint, p_id uuid, p_lark_message_id text, p_error text, p_retry_in interval) RETURNS void
    LANGUAGE sql
    AS $$
    UPDATE gateway.outbox o
    SET sent_at = CASE WHEN p_error IS NULL THEN clock_timestamp() END,
        dead_at = CASE WHEN p_error IS NOT NULL AND p_retry_in IS NULL THEN clock_timestamp() END,
        next_attempt_at = coalesce(clock_timestamp() + p_retry_in, o.next_attempt_at),
        lark_message_id = p_lark_message_id, last_error = p_error, taken_generation = NULL
    WHERE o.installation_id = p_installation AND o.id = p_id AND o.taken_generation = p_generation
$$;

CREATE FUNCTION gateway.take_leases(p_holder text, p_dead_holders text[], p_app_ids text[], p_key_ids text[], p_used bigint[], p_ttl interval, p_grace interval) RETURNS TABLE(installation_id bigint, app_id text, generation bigint, revision bigint, domain text, sealed_secret bytea, sealed_key_id text, bot_open_id text, bot_union_id text)
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7810759452391891045);
    RETURN QUERY
    SELECT * FROM gateway.choose_leases(p_holder, p_dead_holders, p_app_ids, p_key_ids, p_used, p_ttl, p_grace);
END $$;

CREATE FUNCTION gateway.take_outbox(p_holder text, p_limit integer, p_visibility interval, p_held bigint[] DEFAULT '{}'::bigint[]) RETURNS TABLE(installation_id bigint, generation bigint, id uuid, kind text, receive_id_type text, receive_id text, reply_to text, in_thread boolean, payload jsonb, attempts integer, locale text, workspace text, agent text, session_id bigint)
    LANGUAGE plpgsql
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET enable_bitmapscan TO 'off'
    SET plan_cache_mode TO 'force_generic_plan'
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
        -- Twice what an equal share would be, so that all are used where some have less.
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
        -- Said so that the indexes of unsent rows are no candidates: it is the primary key that finds a row.
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

CREATE FUNCTION gateway.take_progress(p_holder text, p_limit integer) RETURNS TABLE(installation_id bigint, task_id bigint, version bigint, text text, lark_message_id text, attempts integer, agent text, chat_id text, reply_to text, in_thread boolean)
    LANGUAGE plpgsql
    AS $$
#variable_conflict use_column
BEGIN
    DELETE FROM gateway.progress p USING gateway.installation i, gateway.agent_task t
    WHERE i.lease_holder = p_holder AND p.installation_id = i.id AND t.installation_id = p.installation_id
        AND t.id = p.task_id AND t.status NOT IN ('claimed', 'queued');
    RETURN QUERY
    WITH due AS (
        SELECT p.installation_id, p.task_id FROM gateway.progress p
        JOIN gateway.installation i ON i.id = p.installation_id
        WHERE i.lease_holder = p_holder AND p.version > p.sent_version AND p.next_attempt_at <= clock_timestamp()
        ORDER BY p.next_attempt_at LIMIT p_limit
        FOR UPDATE OF p SKIP LOCKED
    )
    UPDATE gateway.progress p
    SET attempts = p.attempts + 1, next_attempt_at = clock_timestamp() + interval '1 second'
    FROM due d
    JOIN gateway.agent_task t ON t.installation_id = d.installation_id AND t.id = d.task_id
    JOIN gateway.agent a ON a.id = t.agent_id
    JOIN gateway.chat_binding b ON b.installation_id = t.installation_id AND b.session_id = t.session_id
    LEFT JOIN gateway.chat_message m ON m.installation_id = t.installation_id AND m.session_id = t.session_id
        AND m.position = t.handed_position
    WHERE p.installation_id = d.installation_id AND p.task_id = d.task_id
    RETURNING p.installation_id, p.task_id, p.version, p.text, p.lark_message_id, p.attempts, a.name, b.chat_id,
        CASE WHEN b.chat_type <> 'p2p' THEN m.lark_message_id END, b.chat_type = 'topic';
END $$;

CREATE FUNCTION gateway.take_typing(p_holder text, p_limit integer, p_installation bigint DEFAULT NULL::bigint, p_session bigint DEFAULT NULL::bigint) RETURNS TABLE(installation_id bigint, session_id bigint, "position" bigint, lark_message_id text, reaction_id text, attempts integer)
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION gateway.window_due(p_first_at timestamp with time zone, p_due_at timestamp with time zone, p_last_user_at timestamp with time zone, p_silence interval, p_max_wait interval) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE WHEN p_last_user_at > p_first_at THEN least(p_last_user_at + p_silence, p_first_at + p_max_wait)
        ELSE p_due_at END
$$;

CREATE TABLE gateway.agent (
    id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    name text NOT NULL,
    runtime_id text,
    archived_at timestamp with time zone,
    origin text DEFAULT 'config'::text NOT NULL,
    archived_by text,
    CONSTRAINT agent_archived_by CHECK ((archived_by = ANY (ARRAY['config'::text, 'command'::text]))),
    CONSTRAINT agent_origin CHECK ((origin = ANY (ARRAY['config'::text, 'command'::text]))),
    CONSTRAINT agent_runtime_named CHECK ((runtime_id <> ''::text))
);

ALTER TABLE gateway.agent ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME gateway.agent_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

ALTER TABLE gateway.agent_task ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME gateway.agent_task_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE gateway.chat_binding (
    installation_id bigint NOT NULL,
    chat_id text NOT NULL,
    thread_id text NOT NULL,
    session_id bigint NOT NULL,
    chat_type text NOT NULL,
    CONSTRAINT chat_binding_type CHECK ((chat_type = ANY (ARRAY['p2p'::text, 'group'::text, 'topic'::text])))
);

CREATE TABLE gateway.chat_message (
    installation_id bigint NOT NULL,
    session_id bigint NOT NULL,
    "position" bigint NOT NULL,
    role text NOT NULL,
    sender text,
    content text NOT NULL,
    lark_message_id text,
    sent_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    command text,
    CONSTRAINT chat_message_command CHECK ((command = ANY (ARRAY['issue'::text, 'new'::text, 'help'::text, 'status'::text]))),
    CONSTRAINT chat_message_role CHECK ((role = ANY (ARRAY['user'::text, 'assistant'::text])))
);

CREATE TABLE gateway.chat_session (
    id bigint NOT NULL,
    installation_id bigint NOT NULL,
    member_id bigint,
    last_position bigint DEFAULT 0 NOT NULL,
    last_user_position bigint DEFAULT 0 NOT NULL,
    handed_position bigint DEFAULT 0 NOT NULL,
    answered_position bigint DEFAULT 0 NOT NULL,
    claimed_task_id bigint,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    last_user_at timestamp with time zone,
    context_position bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='70');

ALTER TABLE gateway.chat_session ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME gateway.chat_session_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE gateway.former_member (
    installation_id bigint NOT NULL,
    open_id text NOT NULL,
    removed_at timestamp with time zone DEFAULT now() NOT NULL,
    notified_at timestamp with time zone
);

CREATE TABLE gateway.group_context (
    installation_id bigint NOT NULL,
    session_id bigint NOT NULL,
    "position" bigint NOT NULL,
    messages jsonb NOT NULL,
    fetched_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE gateway.inbound_audit (
    id bigint NOT NULL,
    installation_id bigint,
    app_id text,
    lark_message_id text,
    chat_id text,
    sender text,
    reason text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT inbound_audit_reason CHECK ((reason = ANY (ARRAY['unbound_user'::text, 'non_workspace_member'::text, 'not_addressed_in_group'::text, 'duplicate'::text, 'revoked_installation'::text, 'invalid_event'::text, 'app_sender'::text])))
);

ALTER TABLE gateway.inbound_audit ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME gateway.inbound_audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE gateway.inbound_dedup (
    installation_id bigint NOT NULL,
    lark_message_id text NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE gateway.installation (
    id bigint NOT NULL,
    app_id text NOT NULL,
    workspace_id bigint NOT NULL,
    agent_id bigint NOT NULL,
    sealed_secret bytea,
    domain text NOT NULL,
    locale text NOT NULL,
    bot_open_id text,
    bot_union_id text,
    access text NOT NULL,
    status text DEFAULT 'active'::text NOT NULL,
    lease_holder text,
    lease_generation bigint DEFAULT 0 NOT NULL,
    lease_expires_at timestamp with time zone,
    sealed_key_id text,
    revision bigint DEFAULT 0 NOT NULL,
    wanted_by text,
    free_since timestamp with time zone DEFAULT now() NOT NULL,
    connection_state text,
    connection_reason text,
    connection_since timestamp with time zone,
    connection_retry_at timestamp with time zone,
    origin text DEFAULT 'config'::text NOT NULL,
    revoked_by text,
    CONSTRAINT installation_access CHECK ((access = ANY (ARRAY['pairing'::text, 'open'::text]))),
    CONSTRAINT installation_connection_state CHECK ((connection_state = ANY (ARRAY['connecting'::text, 'connected'::text, 'backing_off'::text, 'refused'::text, 'draining'::text]))),
    CONSTRAINT installation_locale CHECK ((locale = ANY (ARRAY['en'::text, 'zh'::text]))),
    CONSTRAINT installation_origin CHECK ((origin = ANY (ARRAY['config'::text, 'command'::text]))),
    CONSTRAINT installation_revoked_by CHECK ((revoked_by = ANY (ARRAY['config'::text, 'command'::text]))),
    CONSTRAINT installation_status CHECK ((status = ANY (ARRAY['active'::text, 'revoked'::text])))
);

ALTER TABLE gateway.installation ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME gateway.installation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE gateway.invitation (
    workspace_id bigint NOT NULL,
    id bigint NOT NULL,
    member text NOT NULL,
    open_id text,
    code_sha256 bytea NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone
);

ALTER TABLE gateway.invitation ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME gateway.invitation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE gateway.issue (
    workspace_id bigint NOT NULL,
    number bigint NOT NULL,
    title text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    description text DEFAULT ''::text NOT NULL,
    created_by text,
    installation_id bigint,
    session_id bigint,
    lark_message_id text
);

CREATE TABLE gateway.member (
    id bigint NOT NULL,
    workspace_id bigint NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    origin text DEFAULT 'chat'::text NOT NULL,
    CONSTRAINT member_origin CHECK ((origin = ANY (ARRAY['chat'::text, 'command'::text])))
);

CREATE TABLE gateway.member_binding (
    installation_id bigint NOT NULL,
    open_id text NOT NULL,
    workspace_id bigint NOT NULL,
    member_id bigint NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE gateway.member ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME gateway.member_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE gateway.migration (
    number integer NOT NULL,
    name text NOT NULL,
    checksum bigint NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE gateway.outbox (
    installation_id bigint NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    receive_id_type text NOT NULL,
    receive_id text NOT NULL,
    reply_to text,
    in_thread boolean DEFAULT false NOT NULL,
    payload jsonb NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    taken_generation bigint,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    sent_at timestamp with time zone,
    dead_at timestamp with time zone,
    last_error text,
    lark_message_id text,
    session_id bigint,
    CONSTRAINT outbox_kind CHECK ((kind = ANY (ARRAY['reply'::text, 'notice'::text, 'prompt'::text]))),
    CONSTRAINT outbox_receiver CHECK ((receive_id_type = ANY (ARRAY['chat_id'::text, 'open_id'::text])))
);

ALTER TABLE gateway.outbox ALTER COLUMN seq ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME gateway.outbox_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE gateway.pending_run (
    installation_id bigint NOT NULL,
    session_id bigint NOT NULL,
    first_at timestamp with time zone NOT NULL,
    due_at timestamp with time zone NOT NULL
);

CREATE TABLE gateway.progress (
    installation_id bigint NOT NULL,
    task_id bigint NOT NULL,
    session_id bigint NOT NULL,
    text text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    sent_version bigint DEFAULT 0 NOT NULL,
    lark_message_id text,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE gateway.replica (
    holder text NOT NULL,
    expires_at timestamp with time zone NOT NULL
);

CREATE TABLE gateway.typing (
    installation_id bigint NOT NULL,
    session_id bigint NOT NULL,
    "position" bigint NOT NULL,
    lark_message_id text NOT NULL,
    reaction_id text,
    attempts integer DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE gateway.workspace (
    id bigint NOT NULL,
    name text NOT NULL,
    last_issue bigint DEFAULT 0 NOT NULL
);

ALTER TABLE gateway.workspace ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME gateway.workspace_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

INSERT INTO gateway.agent VALUES (1, 1, 'support', 'default', NULL, 'config', NULL);
INSERT INTO gateway.agent VALUES (2, 1, 'sales', NULL, NULL, 'config', NULL);

INSERT INTO gateway.agent_task VALUES (1, 1, 2, 1, 'default', 'completed', 'w', 1, 1, '00:01:00', NULL, NULL, '2026-11-26 00:25:41.096651+00', '2026-11-26 00:25:41.102099+00', '2026-11-26 00:25:41.104729+00');
INSERT INTO gateway.agent_task VALUES (2, 1, 3, 1, 'default', 'completed', 'w', 1, 1, '00:01:00', NULL, NULL, '2026-11-26 00:25:41.108635+00', '2026-11-26 00:25:41.111206+00', '2026-11-26 00:25:41.111424+00');
INSERT INTO gateway.agent_task VALUES (3, 1, 4, 1, 'default', 'failed', 'w', 1, 1, '00:01:00', '2026-11-26 00:26:41.114407+00', 'exit code 1', '2026-11-26 00:25:41.111882+00', '2026-11-26 00:25:41.114407+00', '2026-11-26 00:25:41.114931+00');
INSERT INTO gateway.agent_task VALUES (4, 1, 5, 1, 'default', 'claimed', 'gone', 1, 1, '00:00:01', '2026-11-26 00:25:42.122848+00', NULL, '2026-11-26 00:25:41.120779+00', '2026-11-26 00:25:41.122849+00', NULL);
INSERT INTO gateway.agent_task VALUES (5, 1, 5, 1, 'default', 'queued', NULL, 1, NULL, NULL, NULL, NULL, '2026-11-26 00:25:41.123467+00', NULL, NULL);
INSERT INTO gateway.agent_task VALUES (6, 1, 6, 1, 'default', 'queued', NULL, 1, NULL, NULL, NULL, NULL, '2026-11-26 00:25:41.126386+00', NULL, NULL);
INSERT INTO gateway.agent_task VALUES (7, 1, 7, 1, 'default', 'queued', NULL, 1, NULL, NULL, NULL, NULL, '2026-11-26 00:25:41.127443+00', NULL, NULL);

INSERT INTO gateway.binding_token VALUES (2, '\x01', 'ou_9', '2026-11-26 00:40:41.136653+00', NULL, '\x02', 0);

INSERT INTO gateway.chat_binding VALUES (1, 'oc_window', '', 1, 'p2p');
INSERT INTO gateway.chat_binding VALUES (1, 'oc_unsent', '', 2, 'p2p');
INSERT INTO gateway.chat_binding VALUES (1, 'oc_done', '', 3, 'p2p');
INSERT INTO gateway.chat_binding VALUES (1, 'oc_failed', '', 4, 'p2p');
INSERT INTO gateway.chat_binding VALUES (1, 'oc_claimed', '', 5, 'p2p');
INSERT INTO gateway.chat_binding VALUES (1, 'oc_group', 'omt_1', 6, 'topic');
INSERT INTO gateway.chat_binding VALUES (1, 'oc_new', '', 7, 'p2p');

INSERT INTO gateway.chat_message VALUES (1, 1, 1, 'user', 'ou_1', 'the first of a burst', 'om_window_1', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.087244+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 1, 2, 'user', 'ou_1', 'the note after it', 'om_window_2', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.091117+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 2, 1, 'user', 'ou_1', 'a question with an answer', 'om_unsent_1', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.097367+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 2, 2, 'assistant', NULL, 'an answer that waits', NULL, NULL, '2026-11-26 00:25:41.105661+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 3, 1, 'user', 'ou_2', 'settled', 'om_done_1', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.109569+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 3, 2, 'assistant', NULL, 'settled answer', NULL, NULL, '2026-11-26 00:25:41.111618+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 4, 1, 'user', 'ou_3', 'this run fails', 'om_failed_1', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.112504+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 5, 1, 'user', 'ou_4', 'claimed by a worker that is gone', 'om_claimed_1', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.12151+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 5, 2, 'user', 'ou_4', 'said while it ran', 'om_claimed_2', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.123871+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 6, 1, 'user', 'ou_1', '@bot what now', 'om_queued_1', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.126861+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 7, 1, 'user', 'ou_5', 'before the boundary', 'om_new_1', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.128315+00', NULL);
INSERT INTO gateway.chat_message VALUES (1, 7, 2, 'user', 'ou_5', 'after the boundary', 'om_new_2', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.133041+00', 'new');
INSERT INTO gateway.chat_message VALUES (1, 3, 3, 'user', 'ou_2', '/issue the printer is on fire', 'om_issue_1', '2025-11-24 16:00:00+00', '2026-11-26 00:25:41.133929+00', 'issue');

INSERT INTO gateway.chat_session VALUES (1, 1, 1, 2, 2, 0, 0, NULL, '2026-11-26 00:25:41.077462+00', '2026-11-26 00:25:41.091117+00', '2026-11-26 00:25:41.091117+00', 0);
INSERT INTO gateway.chat_session VALUES (2, 1, 1, 2, 1, 1, 1, NULL, '2026-11-26 00:25:41.096651+00', '2026-11-26 00:25:41.104923+00', '2026-11-26 00:25:41.097367+00', 0);
INSERT INTO gateway.chat_session VALUES (4, 1, 3, 1, 1, 1, 0, NULL, '2026-11-26 00:25:41.111882+00', '2026-11-26 00:25:41.112504+00', '2026-11-26 00:25:41.112504+00', 0);
INSERT INTO gateway.chat_session VALUES (5, 1, 4, 2, 2, 1, 0, 4, '2026-11-26 00:25:41.120779+00', '2026-11-26 00:25:41.123871+00', '2026-11-26 00:25:41.123871+00', 0);
INSERT INTO gateway.chat_session VALUES (6, 1, NULL, 1, 1, 0, 0, NULL, '2026-11-26 00:25:41.126386+00', '2026-11-26 00:25:41.126861+00', '2026-11-26 00:25:41.126861+00', 0);
INSERT INTO gateway.chat_session VALUES (7, 1, 5, 2, 2, 0, 0, NULL, '2026-11-26 00:25:41.127443+00', '2026-11-26 00:25:41.133041+00', '2026-11-26 00:25:41.133041+00', 2);
INSERT INTO gateway.chat_session VALUES (3, 1, 2, 3, 1, 1, 1, NULL, '2026-11-26 00:25:41.108635+00', '2026-11-26 00:25:41.133929+00', '2026-11-26 00:25:41.109569+00', 0);

INSERT INTO gateway.former_member VALUES (1, 'ou_3', '2026-11-26 00:25:41.137247+00', NULL);

INSERT INTO gateway.group_context VALUES (1, 6, 1, '[{"from": "user", "sender": "ou_7", "content": "what was said before", "created_at": "2026-11-25T10:00:00Z", "lark_message_id": "om_0"}]', '2026-11-26 00:25:41.138224+00');

INSERT INTO gateway.inbound_audit VALUES (1, 2, 'cli_sales', 'om_stranger', 'oc_stranger', 'ou_9', 'unbound_user', '2026-11-26 00:25:41.134882+00');

INSERT INTO gateway.inbound_dedup VALUES (1, 'om_window_1', '2026-11-26 00:25:41.077462+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_window_2', '2026-11-26 00:25:41.077462+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_unsent_1', '2026-11-26 00:25:41.096651+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_done_1', '2026-11-26 00:25:41.108635+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_failed_1', '2026-11-26 00:25:41.111882+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_claimed_1', '2026-11-26 00:25:41.120779+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_claimed_2', '2026-11-26 00:25:41.123467+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_queued_1', '2026-11-26 00:25:41.126386+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_new_1', '2026-11-26 00:25:41.127443+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_new_2', '2026-11-26 00:25:41.132648+00');
INSERT INTO gateway.inbound_dedup VALUES (1, 'om_issue_1', '2026-11-26 00:25:41.133577+00');
INSERT INTO gateway.inbound_dedup VALUES (2, 'om_stranger', '2026-11-26 00:25:41.134882+00');

INSERT INTO gateway.installation VALUES (1, 'cli_test', 1, 1, NULL, 'http://127.0.0.1:1', 'en', NULL, NULL, 'open', 'active', 'host-1:aaaa', 1, '2026-11-26 00:25:51.072037+00', NULL, 0, NULL, '2026-11-26 00:25:41.056978+00', 'connected', NULL, '2026-11-26 00:25:40.073412+00', NULL, 'config', NULL);
INSERT INTO gateway.installation VALUES (2, 'cli_sales', 1, 2, NULL, 'http://127.0.0.1:1', 'zh', NULL, NULL, 'pairing', 'active', 'host-1:aaaa', 1, '2026-11-26 00:25:51.072107+00', NULL, 0, NULL, '2026-11-26 00:25:41.056978+00', 'backing_off', 'no route', '2026-11-26 00:25:39.073466+00', '2026-11-26 00:25:44.073466+00', 'config', NULL);

INSERT INTO gateway.invitation VALUES (1, 1, 'Dana', NULL, '\x03', '2026-11-27 00:25:41.137058+00', NULL);

INSERT INTO gateway.issue VALUES (1, 1, 'the printer is on fire', '2026-11-26 00:25:41.133577+00', '', 'ou_2', 1, 3, 'om_issue_1');

INSERT INTO gateway.member VALUES (1, 1, 'ou_1', '2026-11-26 00:25:41.077462+00', 'chat');
INSERT INTO gateway.member VALUES (2, 1, 'ou_2', '2026-11-26 00:25:41.108635+00', 'chat');
INSERT INTO gateway.member VALUES (4, 1, 'ou_4', '2026-11-26 00:25:41.120779+00', 'chat');
INSERT INTO gateway.member VALUES (5, 1, 'ou_5', '2026-11-26 00:25:41.127443+00', 'chat');

INSERT INTO gateway.member_binding VALUES (1, 'ou_1', 1, 1, '2026-11-26 00:25:41.077462+00');
INSERT INTO gateway.member_binding VALUES (1, 'ou_2', 1, 2, '2026-11-26 00:25:41.108635+00');
INSERT INTO gateway.member_binding VALUES (1, 'ou_4', 1, 4, '2026-11-26 00:25:41.120779+00');
INSERT INTO gateway.member_binding VALUES (1, 'ou_5', 1, 5, '2026-11-26 00:25:41.127443+00');

INSERT INTO gateway.migration VALUES (1, 'tables', 1936467615968550147, '2026-11-26 00:25:40.437796+00');
INSERT INTO gateway.migration VALUES (2, 'ingest', -4138297829763270365, '2026-11-26 00:25:40.473947+00');
INSERT INTO gateway.migration VALUES (3, 'windows', 1706047122033919293, '2026-11-26 00:25:40.506475+00');
INSERT INTO gateway.migration VALUES (4, 'tasks', -4691470652455459524, '2026-11-26 00:25:40.5662+00');
INSERT INTO gateway.migration VALUES (5, 'leases_and_outbox', -6966962084734034310, '2026-11-26 00:25:40.606273+00');
INSERT INTO gateway.migration VALUES (6, 'configuration', -5202172864372771011, '2026-11-26 00:25:40.642867+00');
INSERT INTO gateway.migration VALUES (7, 'set_based', -8266533460476915328, '2026-11-26 00:25:40.693399+00');
INSERT INTO gateway.migration VALUES (8, 'hub', 829546386676891201, '2026-11-26 00:25:40.733974+00');
INSERT INTO gateway.migration VALUES (9, 'administration', -3141400009735969493, '2026-11-26 00:25:40.772107+00');
INSERT INTO gateway.migration VALUES (10, 'chat', 5061291006705400839, '2026-11-26 00:25:40.823191+00');
INSERT INTO gateway.migration VALUES (11, 'outbox', -691524405943014862, '2026-11-26 00:25:40.857425+00');
INSERT INTO gateway.migration VALUES (12, 'progress', 4068190205068185816, '2026-11-26 00:25:40.890226+00');
INSERT INTO gateway.migration VALUES (13, 'taking_in_turns', 275966985094337398, '2026-11-26 00:25:40.934733+00');
INSERT INTO gateway.migration VALUES (14, 'pairing', 5923416418358714765, '2026-11-26 00:25:40.967771+00');
INSERT INTO gateway.migration VALUES (15, 'outbox_walk', 6877852373064555669, '2026-11-26 00:25:40.998758+00');
INSERT INTO gateway.migration VALUES (16, 'lost_answers', 6588621805040174076, '2026-11-26 00:25:41.033402+00');

INSERT INTO gateway.outbox VALUES (1, 'a46800f5-ce61-481f-ad57-9f2e041a37d5', 2, 'reply', 'chat_id', 'oc_done', NULL, false, '{"text": "settled answer"}', 1, NULL, '2026-11-26 00:26:41.117563+00', '2026-11-26 00:25:41.111038+00', '2026-11-26 00:25:41.12028+00', NULL, NULL, 'om_sent_2', 3);
INSERT INTO gateway.outbox VALUES (1, 'ce4c78f7-67b2-4489-b526-d83e7b3bc739', 3, 'notice', 'chat_id', 'oc_failed', NULL, false, '{"agent": "support", "notice": "run_failed", "reason": "exit code 1"}', 1, NULL, '2026-11-26 00:26:41.117571+00', '2026-11-26 00:25:41.114192+00', '2026-11-26 00:25:41.120322+00', NULL, NULL, 'om_sent_3', 4);
INSERT INTO gateway.outbox VALUES (1, '7ccbdfd1-bc3a-4fe5-a0cb-bedd8458d04a', 1, 'reply', 'chat_id', 'oc_unsent', NULL, false, '{"text": "an answer that waits"}', 0, NULL, '2026-11-26 00:25:41.120691+00', '2026-11-26 00:25:41.100933+00', NULL, NULL, NULL, NULL, 2);
INSERT INTO gateway.outbox VALUES (1, '4996c001-0044-4765-a296-9af887519af4', 4, 'notice', 'chat_id', 'oc_done', NULL, false, '{"key": "ACME-1", "title": "the printer is on fire", "notice": "issue_created"}', 0, NULL, '2026-11-26 00:25:41.133577+00', '2026-11-26 00:25:41.133577+00', NULL, NULL, NULL, NULL, 3);
INSERT INTO gateway.outbox VALUES (2, '93a82cd0-b081-41bf-a009-c7bbeee6262d', 5, 'prompt', 'open_id', 'ou_9', NULL, false, '{"notice": "needs_binding"}', 0, NULL, '2026-11-26 00:25:41.134882+00', '2026-11-26 00:25:41.134882+00', NULL, NULL, NULL, NULL, NULL);

INSERT INTO gateway.pending_run VALUES (1, 1, '2026-11-26 00:25:41.087244+00', '2026-11-26 00:25:44.087244+00');

INSERT INTO gateway.progress VALUES (1, 4, 5, 'half way', 1, 0, NULL, 0, '2026-11-26 00:25:41.140035+00');

INSERT INTO gateway.replica VALUES ('host-1:aaaa', '2026-11-26 00:25:51.070392+00');

INSERT INTO gateway.typing VALUES (1, 6, 1, 'om_queued_1', NULL, 0, '2026-11-26 00:25:41.138503+00');

INSERT INTO gateway.workspace VALUES (1, 'acme', 1);

SELECT pg_catalog.setval('gateway.agent_id_seq', 4, true);

SELECT pg_catalog.setval('gateway.agent_task_id_seq', 7, true);

SELECT pg_catalog.setval('gateway.chat_session_id_seq', 7, true);

SELECT pg_catalog.setval('gateway.inbound_audit_id_seq', 1, true);

SELECT pg_catalog.setval('gateway.installation_id_seq', 2, true);

SELECT pg_catalog.setval('gateway.invitation_id_seq', 1, true);

SELECT pg_catalog.setval('gateway.member_id_seq', 5, true);

SELECT pg_catalog.setval('gateway.outbox_seq_seq', 5, true);

SELECT pg_catalog.setval('gateway.workspace_id_seq', 4, true);

ALTER TABLE ONLY gateway.agent
    ADD CONSTRAINT agent_name_unique UNIQUE (workspace_id, name);

ALTER TABLE ONLY gateway.agent
    ADD CONSTRAINT agent_pkey PRIMARY KEY (id);

ALTER TABLE ONLY gateway.agent_task
    ADD CONSTRAINT agent_task_pkey PRIMARY KEY (installation_id, id);

ALTER TABLE ONLY gateway.binding_token
    ADD CONSTRAINT binding_token_pkey PRIMARY KEY (installation_id, token_sha256);

ALTER TABLE ONLY gateway.chat_binding
    ADD CONSTRAINT chat_binding_pkey PRIMARY KEY (installation_id, chat_id, thread_id);

ALTER TABLE ONLY gateway.chat_binding
    ADD CONSTRAINT chat_binding_session_unique UNIQUE (installation_id, session_id);

ALTER TABLE ONLY gateway.chat_message
    ADD CONSTRAINT chat_message_pkey PRIMARY KEY (installation_id, session_id, "position");

ALTER TABLE ONLY gateway.chat_session
    ADD CONSTRAINT chat_session_pkey PRIMARY KEY (installation_id, id);

ALTER TABLE ONLY gateway.former_member
    ADD CONSTRAINT former_member_pkey PRIMARY KEY (installation_id, open_id);

ALTER TABLE ONLY gateway.group_context
    ADD CONSTRAINT group_context_pkey PRIMARY KEY (installation_id, session_id);

ALTER TABLE ONLY gateway.inbound_audit
    ADD CONSTRAINT inbound_audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY gateway.inbound_dedup
    ADD CONSTRAINT inbound_dedup_pkey PRIMARY KEY (installation_id, lark_message_id);

ALTER TABLE ONLY gateway.installation
    ADD CONSTRAINT installation_app_unique UNIQUE (app_id);

ALTER TABLE ONLY gateway.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY gateway.invitation
    ADD CONSTRAINT invitation_pkey PRIMARY KEY (workspace_id, id);

ALTER TABLE ONLY gateway.issue
    ADD CONSTRAINT issue_pkey PRIMARY KEY (workspace_id, number);

ALTER TABLE ONLY gateway.member_binding
    ADD CONSTRAINT member_binding_pkey PRIMARY KEY (installation_id, open_id);

ALTER TABLE ONLY gateway.member
    ADD CONSTRAINT member_name_unique UNIQUE (workspace_id, name);

ALTER TABLE ONLY gateway.member
    ADD CONSTRAINT member_pkey PRIMARY KEY (workspace_id, id);

ALTER TABLE ONLY gateway.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (number);

ALTER TABLE ONLY gateway.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (installation_id, id);

ALTER TABLE ONLY gateway.pending_run
    ADD CONSTRAINT pending_run_pkey PRIMARY KEY (installation_id, session_id);

ALTER TABLE ONLY gateway.progress
    ADD CONSTRAINT progress_pkey PRIMARY KEY (installation_id, task_id);

ALTER TABLE ONLY gateway.replica
    ADD CONSTRAINT replica_pkey PRIMARY KEY (holder);

ALTER TABLE ONLY gateway.typing
    ADD CONSTRAINT typing_pkey PRIMARY KEY (installation_id, session_id, "position");

ALTER TABLE ONLY gateway.workspace
    ADD CONSTRAINT workspace_name_unique UNIQUE (name);

ALTER TABLE ONLY gateway.workspace
    ADD CONSTRAINT workspace_pkey PRIMARY KEY (id);

CREATE INDEX agent_task_by_id ON gateway.agent_task USING btree (id);

CREATE INDEX agent_task_claims ON gateway.agent_task USING btree (claim_expires_at) WHERE (status = 'claimed'::text);

CREATE UNIQUE INDEX agent_task_one_claimed ON gateway.agent_task USING btree (installation_id, session_id) WHERE (status = 'claimed'::text);

CREATE UNIQUE INDEX agent_task_one_queued ON gateway.agent_task USING btree (installation_id, session_id) WHERE (status = 'queued'::text);

CREATE INDEX agent_task_queue ON gateway.agent_task USING btree (runtime_id, created_at, id) WHERE ((status = 'queued'::text) AND (runtime_id <> ''::text));

CREATE INDEX agent_task_queue_by_installation ON gateway.agent_task USING btree (installation_id, runtime_id, created_at, id) WHERE ((status = 'queued'::text) AND (runtime_id <> ''::text));

CREATE INDEX binding_token_by_expiry ON gateway.binding_token USING btree (expires_at);

CREATE INDEX binding_token_by_link ON gateway.binding_token USING btree (link_sha256);

CREATE INDEX chat_message_contexts ON gateway.chat_message USING btree (installation_id, session_id, "position") WHERE (command = 'new'::text);

CREATE UNIQUE INDEX chat_message_lark_unique ON gateway.chat_message USING btree (installation_id, lark_message_id) WHERE (lark_message_id IS NOT NULL);

CREATE INDEX chat_session_by_id ON gateway.chat_session USING btree (id);

CREATE INDEX inbound_audit_by_installation ON gateway.inbound_audit USING btree (installation_id, received_at);

CREATE INDEX inbound_audit_by_message ON gateway.inbound_audit USING btree (installation_id, lark_message_id);

CREATE INDEX installation_by_holder ON gateway.installation USING btree (lease_holder);

CREATE INDEX member_binding_by_member ON gateway.member_binding USING btree (workspace_id, member_id);

CREATE INDEX outbox_dead ON gateway.outbox USING btree (installation_id, dead_at) WHERE (dead_at IS NOT NULL);

CREATE INDEX outbox_notices ON gateway.outbox USING btree (installation_id, session_id, created_at) WHERE (kind = 'notice'::text);

CREATE INDEX outbox_prompts ON gateway.outbox USING btree (installation_id, receive_id, created_at) WHERE (kind = 'prompt'::text);

CREATE INDEX outbox_queue ON gateway.outbox USING btree (installation_id, seq) WHERE ((sent_at IS NULL) AND (dead_at IS NULL));

CREATE INDEX outbox_unsent ON gateway.outbox USING btree (installation_id, receive_id, seq) WHERE ((sent_at IS NULL) AND (dead_at IS NULL));

CREATE INDEX pending_run_by_due ON gateway.pending_run USING btree (installation_id, due_at);

CREATE TRIGGER agent_changed AFTER UPDATE OF runtime_id, archived_at ON gateway.agent FOR EACH ROW WHEN (((old.runtime_id IS DISTINCT FROM new.runtime_id) OR ((old.archived_at IS NULL) <> (new.archived_at IS NULL)))) EXECUTE FUNCTION gateway.reconsider_sessions();

CREATE TRIGGER installation_added AFTER INSERT ON gateway.installation FOR EACH ROW EXECUTE FUNCTION gateway.announce_installation();

CREATE TRIGGER installation_announced AFTER UPDATE ON gateway.installation FOR EACH ROW WHEN (((old.revision <> new.revision) OR ((new.wanted_by IS NOT NULL) AND (old.wanted_by IS DISTINCT FROM new.wanted_by)) OR ((new.lease_holder IS NULL) AND ((old.lease_holder IS DISTINCT FROM NULL::text) OR (old.wanted_by IS DISTINCT FROM new.wanted_by))))) EXECUTE FUNCTION gateway.announce_installation();

CREATE TRIGGER installation_changed BEFORE UPDATE OF app_id, domain, sealed_secret, status ON gateway.installation FOR EACH ROW WHEN (((((old.app_id IS DISTINCT FROM new.app_id) OR (old.domain IS DISTINCT FROM new.domain)) OR (old.sealed_secret IS DISTINCT FROM new.sealed_secret)) OR (old.status IS DISTINCT FROM new.status))) EXECUTE FUNCTION gateway.count_revision();

CREATE TRIGGER member_bound AFTER INSERT ON gateway.member_binding FOR EACH ROW EXECUTE FUNCTION gateway.forget_former_member();

CREATE TRIGGER member_removed BEFORE DELETE ON gateway.member FOR EACH ROW EXECUTE FUNCTION gateway.remember_former_member();

ALTER TABLE ONLY gateway.agent_task
    ADD CONSTRAINT agent_task_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES gateway.agent(id);

ALTER TABLE ONLY gateway.agent_task
    ADD CONSTRAINT agent_task_installation_id_session_id_fkey FOREIGN KEY (installation_id, session_id) REFERENCES gateway.chat_session(installation_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.agent
    ADD CONSTRAINT agent_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES gateway.workspace(id);

ALTER TABLE ONLY gateway.binding_token
    ADD CONSTRAINT binding_token_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES gateway.installation(id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.chat_binding
    ADD CONSTRAINT chat_binding_installation_id_session_id_fkey FOREIGN KEY (installation_id, session_id) REFERENCES gateway.chat_session(installation_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.chat_message
    ADD CONSTRAINT chat_message_installation_id_session_id_fkey FOREIGN KEY (installation_id, session_id) REFERENCES gateway.chat_session(installation_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.chat_session
    ADD CONSTRAINT chat_session_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES gateway.installation(id);

ALTER TABLE ONLY gateway.former_member
    ADD CONSTRAINT former_member_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES gateway.installation(id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.group_context
    ADD CONSTRAINT group_context_installation_id_session_id_fkey FOREIGN KEY (installation_id, session_id) REFERENCES gateway.chat_session(installation_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.installation
    ADD CONSTRAINT installation_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES gateway.agent(id);

ALTER TABLE ONLY gateway.installation
    ADD CONSTRAINT installation_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES gateway.workspace(id);

ALTER TABLE ONLY gateway.invitation
    ADD CONSTRAINT invitation_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES gateway.workspace(id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.issue
    ADD CONSTRAINT issue_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES gateway.workspace(id);

ALTER TABLE ONLY gateway.member_binding
    ADD CONSTRAINT member_binding_installation_id_fkey FOREIGN KEY (installation_id) REFERENCES gateway.installation(id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.member_binding
    ADD CONSTRAINT member_binding_member FOREIGN KEY (workspace_id, member_id) REFERENCES gateway.member(workspace_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.member
    ADD CONSTRAINT member_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES gateway.workspace(id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.pending_run
    ADD CONSTRAINT pending_run_installation_id_session_id_fkey FOREIGN KEY (installation_id, session_id) REFERENCES gateway.chat_session(installation_id, id) ON DELETE CASCADE;

ALTER TABLE ONLY gateway.progress
    ADD CONSTRAINT progress_installation_id_task_id_fkey FOREIGN KEY (installation_id, task_id) REFERENCES gateway.agent_task(installation_id, id) ON DELETE CASCADE;

