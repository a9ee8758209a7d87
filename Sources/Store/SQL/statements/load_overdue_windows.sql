-- Loads windows of the installations $1 that are overdue, because no timer closed them. $2, $3: the silence window and
-- max_wait. At most 10,000 at a time; the next scan finds the rest.
SELECT p.installation_id, p.session_id,
    ceil(extract(epoch FROM clock_timestamp() - p.first_at) * 1000)::bigint AS open_for_ms,
    ceil(extract(epoch FROM gateway.window_due(p.first_at, p.due_at, s.last_user_at, $2, $3) - clock_timestamp())
        * 1000)::bigint AS due_in_ms
FROM gateway.pending_run p
JOIN gateway.chat_session s ON s.installation_id = p.installation_id AND s.id = p.session_id
WHERE p.installation_id = ANY ($1) AND p.due_at < now() - interval '200 milliseconds'
    AND gateway.window_due(p.first_at, p.due_at, s.last_user_at, $2, $3)
        < clock_timestamp() - interval '200 milliseconds'
LIMIT 10000
