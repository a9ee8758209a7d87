-- Deletes group context that is older than $3, or whose message a run has answered, in the heap blocks from $1 up to
-- $2; see prune_dedup.
DELETE FROM gateway.group_context g
WHERE g.ctid >= $1::tid AND g.ctid < $2::tid AND (g.fetched_at < now() - $3::interval OR EXISTS (
    SELECT FROM gateway.chat_session s
    WHERE s.installation_id = g.installation_id AND s.id = g.session_id AND s.answered_position >= g.position))
