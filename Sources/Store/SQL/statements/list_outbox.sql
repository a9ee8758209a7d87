-- Lists unsent rows of the app $2 (NULL: of all apps), at most $3: those that wait, or with $1 = true those given up.
-- total: how many there are.
SELECT o.id, i.app_id, o.kind, o.receive_id, o.attempts, o.dead_at IS NOT NULL AS is_dead, o.last_error,
    gateway.rfc3339(o.created_at) AS created_at,
    floor(extract(epoch FROM clock_timestamp() - o.created_at) * 1000)::bigint AS age_ms,
    ceil(extract(epoch FROM o.next_attempt_at - clock_timestamp()) * 1000)::bigint AS next_in_ms,
    count(*) OVER () AS total
FROM gateway.outbox o
JOIN gateway.installation i ON i.id = o.installation_id
WHERE o.sent_at IS NULL AND (o.dead_at IS NOT NULL) = $1 AND ($2 IS NULL OR i.app_id = $2)
ORDER BY o.seq LIMIT $3
