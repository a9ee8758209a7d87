-- Turns closed windows into tasks or notices: gateway.flush_windows, in 007_set_based.sql.
-- $1..$3: installation, lease generation and session of each window; $4: also those that are not due yet;
-- $5, $6: the silence window and max_wait.
SELECT session_id, outcome, task_id, remaining_ms FROM gateway.flush_windows($1, $2, $3, $4, $5, $6)
