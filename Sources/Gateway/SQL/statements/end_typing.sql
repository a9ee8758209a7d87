-- The sign is gone, or nothing more can be done about it.
DELETE FROM gateway.typing WHERE installation_id = $1 AND session_id = $2 AND position = $3
