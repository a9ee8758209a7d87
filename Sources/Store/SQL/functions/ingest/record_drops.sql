-- Audits the dropped messages (all verdicts but fenced and busy), and tells the senders who must know: one private
-- prompt per stranger and 15 minutes, also for a group message; one notice per ended membership. A prompt that the
-- platform refused counts too: the next one would be refused as well. Called by ingest_messages.
CREATE OR REPLACE FUNCTION gateway.record_drops(
    p_installation bigint[], p_app_id text[], p_message_id text[], p_chat_id text[], p_sender text[], p_verdict text[]
) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
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
    -- A scalar subquery per sender: as a join it would read the prompts of all installations.
    WHERE (SELECT true FROM gateway.outbox o
        WHERE o.installation_id = r.installation AND o.receive_id = r.sender AND o.kind = 'prompt'
            AND o.created_at > now() - interval '15 minutes' LIMIT 1) IS NULL;

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
