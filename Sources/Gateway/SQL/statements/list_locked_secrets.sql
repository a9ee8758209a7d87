-- Active installations that a replica with the apps $1 in its file and the sealing keys $2 can't connect: the secret is
-- sealed with another key.
SELECT app_id, sealed_key_id FROM gateway.installation
WHERE status = 'active' AND sealed_secret IS NOT NULL AND app_id <> ALL ($1) AND sealed_key_id <> ALL ($2)
ORDER BY app_id LIMIT 100
