-- Revokes the installation of the app $1, by command.
SELECT gateway.revoke_installation($1, 'command') AS is_revoked
