-- Ends the membership of $2 in the workspace $1, and with it every binding.
DELETE FROM gateway.member m USING gateway.workspace w
WHERE w.id = m.workspace_id AND w.name = $1 AND m.name = $2 RETURNING m.id
