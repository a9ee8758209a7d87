-- Lists the newest issues of the workspace $1 (NULL: all workspaces), or the one with the key $2; at most $3.
-- total: how many there are.
SELECT gateway.issue_key(w.name, s.number) AS key, w.name AS workspace, s.title, s.description,
    coalesce(m.name, s.created_by) AS created_by,
    gateway.rfc3339(s.created_at) AS created_at,
    floor(extract(epoch FROM clock_timestamp() - s.created_at) * 1000)::bigint AS age_ms, count(*) OVER () AS total
FROM gateway.issue s
JOIN gateway.workspace w ON w.id = s.workspace_id
LEFT JOIN gateway.member_binding b ON b.installation_id = s.installation_id AND b.open_id = s.created_by
LEFT JOIN gateway.member m ON m.workspace_id = b.workspace_id AND m.id = b.member_id
WHERE ($1::text IS NULL OR w.name = $1) AND ($2::text IS NULL OR gateway.issue_key(w.name, s.number) = upper($2))
ORDER BY s.created_at DESC, s.number DESC LIMIT $3
