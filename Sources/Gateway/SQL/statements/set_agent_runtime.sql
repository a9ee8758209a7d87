-- Gives the agent $2 of the workspace $1 the runtime $3; NULL: offline. What waits for it is looked at anew.
UPDATE gateway.agent a SET runtime_id = $3 FROM gateway.workspace w
WHERE w.id = a.workspace_id AND w.name = $1 AND a.name = $2 RETURNING a.id
