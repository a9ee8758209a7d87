-- Forgets a typing sign: it is removed, or can't be.
DELETE FROM gateway.typing WHERE installation_id = $1 AND session_id = $2 AND position = $3
