CREATE OR REPLACE FUNCTION gateway.is_answered_by_runs(p_command text, p_content text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_command IS NULL OR (p_command = 'new' AND p_content <> '')
$$;
