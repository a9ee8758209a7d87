-- Archives the agent $2 of the workspace $1; with $3 = false, restores it.
UPDATE gateway.agent a
SET archived_at = CASE WHEN $3 THEN coalesce(a.archived_at, clock_timestamp()) END,
    archived_by = CASE WHEN $3 THEN 'command' END
FROM gateway.workspace w
WHERE w.id = a.workspace_id AND w.name = $1 AND a.name = $2 RETURNING a.id
