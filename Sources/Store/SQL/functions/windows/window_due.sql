-- Computes when a window closes: p_silence after its last message, and at most p_max_wait after its first. A window
-- that no message has extended closes at p_due_at. Called by flush_windows and by the statements that load windows.
CREATE OR REPLACE FUNCTION gateway.window_due(
    p_first_at timestamptz, p_due_at timestamptz, p_last_user_at timestamptz, p_silence interval, p_max_wait interval
) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Inlined; see is_answered_by_runs.
BEGIN ATOMIC
    SELECT CASE WHEN p_last_user_at > p_first_at THEN least(p_last_user_at + p_silence, p_first_at + p_max_wait)
        ELSE p_due_at END;
END;
