-- Makes the revoked installation of the app $1 active again.
UPDATE gateway.installation SET status = 'active', revoked_by = NULL WHERE app_id = $1 AND status = 'revoked'
RETURNING id
