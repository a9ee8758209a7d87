-- Tells whether a run must answer a message: it is no command, or a /new with a text.
CREATE OR REPLACE FUNCTION gateway.is_answered_by_runs(p_command text, p_content text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
-- Inlined, as a function with settings can't be. This form of body is bound to its operators when it is defined.
BEGIN ATOMIC
    SELECT p_command IS NULL OR (p_command = 'new' AND p_content <> '');
END;
