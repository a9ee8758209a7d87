-- Lists active installations that a replica can't connect: their app is not among $1 (the apps in its file), and their
-- secret is sealed with a key that is not among $2.
SELECT app_id, sealed_key_id FROM gateway.installation
WHERE status = 'active' AND sealed_secret IS NOT NULL AND app_id <> ALL ($1) AND sealed_key_id <> ALL ($2)
ORDER BY app_id LIMIT 100
