-- Stores what stood in a group ($4, JSON) before the message at position $3 of the session $2. Does nothing unless the
-- lease generation is $5.
INSERT INTO gateway.group_context (installation_id, session_id, position, messages)
SELECT i.id, $2, $3, $4 FROM gateway.installation i WHERE i.id = $1 AND i.lease_generation = $5 FOR KEY SHARE
ON CONFLICT (installation_id, session_id)
    DO UPDATE SET position = EXCLUDED.position, messages = EXCLUDED.messages, fetched_at = EXCLUDED.fetched_at
