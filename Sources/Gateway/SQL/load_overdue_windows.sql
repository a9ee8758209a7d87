-- Windows of the installations $1 that are overdue: nobody's timer closed them.
SELECT installation_id, session_id,
    ceil(extract(epoch FROM clock_timestamp() - first_at) * 1000)::bigint AS open_for_ms,
    ceil(extract(epoch FROM due_at - clock_timestamp()) * 1000)::bigint AS due_in_ms
FROM gateway.pending_run
WHERE installation_id = ANY ($1) AND due_at < clock_timestamp() - interval '200 milliseconds'
