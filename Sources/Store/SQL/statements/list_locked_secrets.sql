-- Lists active installations that a replica can't connect: their secret is sealed with a key that is not among $1.
SELECT app_id, sealed_key_id FROM gateway.installation
WHERE status = 'active' AND sealed_secret IS NOT NULL AND sealed_key_id <> ALL ($1)
ORDER BY app_id LIMIT 100
