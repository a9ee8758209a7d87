-- Installs an app by command, with its sealed secret ($7) and the id of the sealing key ($8).
SELECT p.installation_id, p.status, p.was, gateway.put_secret($1, $7, $8) AS has_secret
FROM gateway.put_installation($1, $2, $3, $4, $5, $6, 'command') p
