-- Records that a typing sign is about to be put under the message $4, at position $3 of the session $2. Returns no row
-- when the agent is offline or archived, or the lease generation is no longer $5.
INSERT INTO gateway.typing (installation_id, session_id, position, lark_message_id)
SELECT i.id, $2, $3, $4 FROM gateway.installation i
JOIN gateway.agent a ON a.id = i.agent_id AND a.runtime_id IS NOT NULL AND a.archived_at IS NULL
WHERE i.id = $1 AND i.lease_generation = $5
FOR KEY SHARE OF i
ON CONFLICT DO NOTHING
RETURNING position
