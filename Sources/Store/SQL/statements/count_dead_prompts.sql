-- Counts the prompts to the receiver $2 that were given up within a day, without the row $3.
SELECT count(*) AS dead FROM gateway.outbox o
WHERE o.installation_id = $1 AND o.receive_id = $2 AND o.kind = 'prompt' AND o.created_at > now() - interval '1 day'
    AND o.dead_at IS NOT NULL AND o.id <> $3
