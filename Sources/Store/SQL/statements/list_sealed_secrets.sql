-- Lists every sealed secret.
SELECT app_id, sealed_secret, sealed_key_id FROM gateway.installation WHERE sealed_secret IS NOT NULL ORDER BY app_id
