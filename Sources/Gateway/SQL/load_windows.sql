-- The open windows of the installations $1: how long ago they opened and in how long they are due, in milliseconds.
SELECT installation_id, session_id,
    ceil(extract(epoch FROM clock_timestamp() - first_at) * 1000)::bigint AS open_for_ms,
    ceil(extract(epoch FROM due_at - clock_timestamp()) * 1000)::bigint AS due_in_ms
FROM gateway.pending_run
WHERE installation_id = ANY ($1)
