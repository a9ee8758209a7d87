-- Finds the members that send the messages without a verdict. Where access is 'open', an unknown sender becomes a
-- member with this message, unless their membership ended; every other unknown sender gets a verdict
-- (non_workspace_member or unbound_user).
-- Returns verdicts and member ids, one per message. Called by ingest_messages, if a sender is unknown.
CREATE OR REPLACE FUNCTION gateway.identify_senders(
    p_installation bigint[], p_sender text[], p_verdict text[], p_member bigint[]
) RETURNS TABLE (verdicts text[], members bigint[]) LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
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
