-- Forgets what stood in groups before a message, in the heap blocks from $1 up to $2, once a run has answered the message, or
-- when it is older than $3.
DELETE FROM gateway.group_context g
WHERE g.ctid >= $1::tid AND g.ctid < $2::tid AND (g.fetched_at < now() - $3::interval OR EXISTS (
    SELECT FROM gateway.chat_session s
    WHERE s.installation_id = g.installation_id AND s.id = g.session_id AND s.answered_position >= g.position))
