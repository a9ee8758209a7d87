-- Sets whether the agent $2 of the workspace $1 may mention everybody in a chat.
UPDATE gateway.agent a SET may_mention_all = $3 FROM gateway.workspace w
WHERE w.id = a.workspace_id AND w.name = $1 AND a.name = $2 RETURNING a.id
