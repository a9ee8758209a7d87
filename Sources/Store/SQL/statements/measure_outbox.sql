-- Counts the outbox rows of the installations $1: waiting, the age of the oldest that waits, and given up.
SELECT
    (SELECT count(*) FROM unnest($1) AS r (installation) CROSS JOIN LATERAL (
        SELECT FROM gateway.outbox o
        WHERE o.installation_id = r.installation AND o.sent_at IS NULL AND o.dead_at IS NULL) w)
        AS waiting,
    (SELECT floor(extract(epoch FROM clock_timestamp() - min(w.created_at)) * 1000)::bigint
     FROM unnest($1) AS r (installation) CROSS JOIN LATERAL (
        SELECT o.created_at FROM gateway.outbox o
        WHERE o.installation_id = r.installation AND o.sent_at IS NULL AND o.dead_at IS NULL) w) AS oldest_ms,
    (SELECT count(*) FROM unnest($1) AS r (installation) CROSS JOIN LATERAL (
        SELECT FROM gateway.outbox o WHERE o.installation_id = r.installation AND o.dead_at IS NOT NULL) w) AS dead
