-- When a window closes: `silence` after its last message, and at most `max_wait` after its first. One that no message
-- has extended closes when it was opened for.
CREATE OR REPLACE FUNCTION gateway.window_due(
    p_first_at timestamptz, p_due_at timestamptz, p_last_user_at timestamptz, p_silence interval, p_max_wait interval
) RETURNS timestamptz LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_last_user_at > p_first_at THEN least(p_last_user_at + p_silence, p_first_at + p_max_wait)
        ELSE p_due_at END
$$;
