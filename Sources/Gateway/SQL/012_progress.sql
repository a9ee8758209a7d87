-- What an agent says while it works: one card per run, changed in place.

CREATE TABLE gateway.progress (
    installation_id bigint NOT NULL,
    task_id bigint NOT NULL,
    session_id bigint NOT NULL,
    text text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    sent_version bigint NOT NULL DEFAULT 0,
    lark_message_id text,                           -- NULL: there is no card yet
    attempts int NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (installation_id, task_id),
    FOREIGN KEY (installation_id, task_id) REFERENCES gateway.agent_task (installation_id, id) ON DELETE CASCADE
);

-- Shows how far a claimed task is, instead of what it said before. A lost claim is an error (GW001).
CREATE FUNCTION gateway.report_progress(task_id bigint, worker text, progress text) RETURNS void LANGUAGE plpgsql AS $$
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

-- Takes what is to be shown, each card at most once a second; forgets the cards of runs that are over.
CREATE FUNCTION gateway.take_progress(p_holder text, p_limit int)
RETURNS TABLE (
    installation_id bigint, task_id bigint, version bigint, text text, lark_message_id text, attempts int, agent text,
    chat_id text, reply_to text, in_thread boolean
) LANGUAGE plpgsql AS $$
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
