-- Turns closed windows into tasks or notices: gateway.flush_windows, in 003_windows.sql.
-- $1..$3: installation, lease generation and session of each window; $4: also those that are not due yet.
SELECT session_id, outcome, task_id, remaining_ms FROM gateway.flush_windows($1, $2, $3, $4)
