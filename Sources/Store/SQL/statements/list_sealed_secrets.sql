-- Lists every sealed secret, and the domain that it is for.
SELECT app_id, domain, sealed_secret, sealed_key_id FROM gateway.installation
WHERE sealed_secret IS NOT NULL ORDER BY app_id
