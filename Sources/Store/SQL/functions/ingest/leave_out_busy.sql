-- Locks the sessions that can be locked without waiting. Messages of the other sessions, and their repetitions in the
-- batch, get the verdict busy; their dedup rows are deleted, so that they can be submitted again.
-- Locks: sessions in key order (FOR NO KEY UPDATE SKIP LOCKED). Called by ingest_messages, with p_skips_busy.
CREATE OR REPLACE FUNCTION gateway.leave_out_busy(
    p_installation bigint[], p_message_id text[], p_verdict text[], p_session bigint[]
) RETURNS TABLE (verdicts text[], sessions bigint[]) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
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
