-- Sets the runtime of the agent $2 of the workspace $1 to $3; NULL means offline. A trigger (reconsider_sessions)
-- decides anew about messages that wait.
UPDATE gateway.agent a SET runtime_id = $3 FROM gateway.workspace w
WHERE w.id = a.workspace_id AND w.name = $1 AND a.name = $2 RETURNING a.id
