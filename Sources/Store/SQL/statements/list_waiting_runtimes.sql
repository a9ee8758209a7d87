-- Lists runtimes whose tasks wait, at most $1, those that have waited for longest first: how many wait, the age of the
-- oldest, and how many are claimed. total: how many runtimes there are.
SELECT q.runtime_id, q.queued, q.oldest_ms, (
        SELECT count(*) FROM gateway.agent_task t
        WHERE t.status = 'claimed' AND t.claim_expires_at > clock_timestamp() AND t.runtime_id = q.runtime_id
    ) AS claimed, count(*) OVER () AS total
FROM (
    SELECT t.runtime_id, count(*) AS queued,
        floor(extract(epoch FROM clock_timestamp() - min(t.created_at)) * 1000)::bigint AS oldest_ms
    FROM gateway.agent_task t JOIN gateway.installation i ON i.id = t.installation_id
    WHERE t.status = 'queued' AND t.runtime_id <> '' AND i.status = 'active'
    GROUP BY t.runtime_id
) q
ORDER BY q.oldest_ms DESC LIMIT $1
