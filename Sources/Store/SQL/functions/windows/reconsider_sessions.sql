-- Gives sessions whose fate depends on an agent a window that is due now, so that the gateway decides anew. Fires after
-- an agent got or lost its runtime, or was archived or restored. A new runtime also moves the queued tasks to it, in
-- their order: their turns begin with 0, since those of the other runtime say nothing there.
-- Archiving also cancels claimed tasks: their workers are refused, and the chats get the notice instead of a reply.
-- Locks: when the agent goes away, sessions in key order (FOR NO KEY UPDATE), then tasks.
CREATE OR REPLACE FUNCTION gateway.reconsider_sessions() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW.runtime_id IS NOT NULL AND NEW.archived_at IS NULL THEN
        UPDATE gateway.agent_task t
        SET runtime_id = NEW.runtime_id, turn = t.turn - (SELECT min(o.turn) FROM gateway.agent_task o
            WHERE o.agent_id = NEW.id AND o.status = 'queued')
        WHERE t.agent_id = NEW.id AND t.status = 'queued';
    ELSE
        -- Sessions before tasks: the order in which every other function takes these locks.
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

CREATE OR REPLACE TRIGGER agent_changed AFTER UPDATE OF runtime_id, archived_at ON gateway.agent
    FOR EACH ROW WHEN (OLD.runtime_id IS DISTINCT FROM NEW.runtime_id
        OR (OLD.archived_at IS NULL) <> (NEW.archived_at IS NULL))
    EXECUTE FUNCTION gateway.reconsider_sessions();
