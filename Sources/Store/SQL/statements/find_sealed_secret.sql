-- Finds the domain of the app $1, and its sealed secret.
SELECT domain, gateway.readable_secret(id) AS sealed_secret, sealed_key_id FROM gateway.installation WHERE app_id = $1
